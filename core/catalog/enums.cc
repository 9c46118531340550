#include "core/catalog/enums.h"

namespace radiograph {

const char* Name(ParamKind kind) {
  switch (kind) {
    case ParamKind::kBool:
      return "bool";
    case ParamKind::kInt:
      return "int";
    case ParamKind::kNumber:
      return "number";
    case ParamKind::kEnum:
      return "enum";
    case ParamKind::kString:
      return "string";
    case ParamKind::kInts:
      return "ints";
    case ParamKind::kNumbers:
      return "numbers";
    case ParamKind::kStrings:
      return "strings";
    case ParamKind::kMap:
      break;
  }
  return "map";
}

const char* Name(ArtifactKind kind) {
  switch (kind) {
    case ArtifactKind::kModel:
      return "MODEL";
    case ArtifactKind::kDataset:
      return "DATASET";
    case ArtifactKind::kResult:
      break;
  }
  return "RESULT";
}

const char* Name(Better better) {
  switch (better) {
    case Better::kHigher:
      return "higher";
    case Better::kLower:
      return "lower";
    case Better::kNone:
      break;
  }
  return "none";
}

const char* Name(Exactness exactness) {
  switch (exactness) {
    case Exactness::kExact:
      return "exact";
    case Exactness::kLowerBound:
      return "lower_bound";
    case Exactness::kUpperBound:
      return "upper_bound";
    case Exactness::kEstimate:
      break;
  }
  return "estimate";
}

}  // namespace radiograph
