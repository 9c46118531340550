// The words of a Spec, and how they are written in messages, results and JSON.
#ifndef RADIOGRAPH_CORE_CATALOG_ENUMS_H_
#define RADIOGRAPH_CORE_CATALOG_ENUMS_H_

namespace radiograph {

enum class ParamKind { kBool, kInt, kNumber, kEnum, kString, kInts, kNumbers, kStrings, kMap };
enum class ArtifactKind { kModel, kDataset, kResult };
enum class Better { kNone, kHigher, kLower };
enum class Exactness { kExact, kLowerBound, kUpperBound, kEstimate };

const char* Name(ParamKind kind);       // "bool", "int", ... "ints", ... "map"
const char* Name(ArtifactKind kind);    // "MODEL", "DATASET", "RESULT"
const char* Name(Better better);        // "none", "higher", "lower"
const char* Name(Exactness exactness);  // "exact", "lower_bound", "upper_bound", "estimate"

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_CATALOG_ENUMS_H_
