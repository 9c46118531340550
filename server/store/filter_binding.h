// What a filter's names and values mean for a type of message. For message_filter.cc.
#ifndef RADIOGRAPH_SERVER_STORE_FILTER_BINDING_H_
#define RADIOGRAPH_SERVER_STORE_FILTER_BINDING_H_

#include <google/protobuf/descriptor.h>

#include "absl/status/statusor.h"
#include "core/base/filter.h"
#include "server/store/message_filter.h"

namespace radiograph {

// Of != the comparison with =, to be negated. INVALID_ARGUMENT as MessageFilter::Parse says.
absl::StatusOr<FieldComparison> BindComparison(const FilterComparison& comparison,
                                               const google::protobuf::Descriptor* type);

}  // namespace radiograph

#endif  // RADIOGRAPH_SERVER_STORE_FILTER_BINDING_H_
