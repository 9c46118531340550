#include "server/store/job_scan.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

using google::protobuf::FieldDescriptor;
using Kind = FilterNode::Kind;
using Node = MessageFilter::Node;
using Value = JobScan::Value;

constexpr int64_t kLowest = std::numeric_limits<int64_t>::min();
constexpr int64_t kHighest = std::numeric_limits<int64_t>::max();
constexpr size_t kTellingBytes = 3;  // shorter texts stand in every record by chance

// Fields with a column of their own.
struct Column {
  absl::string_view field, column;
};
constexpr Column kTexts[] = {{"id", "job.id"},
                             {"analysis", "job.analysis"},
                             {"device_kind", "job.device_kind"},
                             {"request_id", "job.request_id"},
                             {"merged_into", "job.merged_into"}};
constexpr Column kIntegers[] = {{"state", "job.state"}, {"analysis_version", "job.version"}};
// Fields whose text in the record may be another than the list shows.
constexpr absl::string_view kNotAsRecorded[] = {"tenant", "pending_reason", "phase"};

bool IsWholeText(const FieldComparison& c) {
  return c.IsEquality() && !c.any_before && !c.any_after;
}
// The name of a field of the job itself; empty for a key of a map and for one further in.
absl::string_view PlainField(const FieldComparison& c) {
  if (c.steps.size() != 1 || c.steps[0].field->is_map()) return "";
  return c.steps[0].field->name();
}
bool IsLabel(const FieldComparison& c) {
  return c.steps.size() == 1 && c.steps[0].field->name() == "labels" && !c.steps[0].any_key &&
         IsWholeText(c);
}
absl::string_view SqlOperator(FilterOperator op) {
  switch (op) {
    case FilterOperator::kLess:
      return " < ";
    case FilterOperator::kLessEqual:
      return " <= ";
    case FilterOperator::kGreater:
      return " > ";
    case FilterOperator::kGreaterEqual:
      return " >= ";
    default:
      return " = ";
  }
}

// An SQL expression that holds at least wherever the filter does. `exact`: and nowhere else.
struct Condition {
  std::string sql;
  bool exact = false;
};

class Translator {
 public:
  explicit Translator(std::vector<Value>* values) : values_(*values) {}

  // What stands for the value in the statement.
  template <typename T>
  std::string Place(const T& value) {
    values_.emplace_back(value);
    return absl::StrCat("?", values_.size());
  }

  // Nothing: SQLite can't tell.
  std::optional<Condition> Translate(const Node& node) {
    switch (node.kind) {
      case Kind::kAnd:
        return All(node);
      case Kind::kOr:
        return Any(node);
      case Kind::kNot: {
        const std::optional<Condition> operand = Translate(node.operands[0]);
        if (!operand.has_value() || !operand->exact) return std::nullopt;
        return Condition{absl::StrCat("NOT ", operand->sql), true};
      }
      case Kind::kComparison:
        return Comparison(node.comparison);
    }
    return std::nullopt;
  }

 private:
  std::optional<Condition> All(const Node& node) {
    std::vector<std::string> parts;
    bool exact = true;
    for (const Node& operand : node.operands) {
      std::optional<Condition> part = Translate(operand);
      exact &= part.has_value() && part->exact;
      if (part.has_value()) parts.push_back(std::move(part->sql));
    }
    if (parts.empty()) return std::nullopt;
    return Condition{absl::StrCat("(", absl::StrJoin(parts, " AND "), ")"), exact};
  }

  std::optional<Condition> Any(const Node& node) {
    std::vector<std::string> parts;
    bool exact = true;
    for (const Node& operand : node.operands) {
      std::optional<Condition> part = Translate(operand);
      if (!part.has_value()) return std::nullopt;
      exact &= part->exact;
      parts.push_back(std::move(part->sql));
    }
    return Condition{absl::StrCat("(", absl::StrJoin(parts, " OR "), ")"), exact};
  }

  std::optional<Condition> Comparison(const FieldComparison& c) {
    const absl::string_view field = PlainField(c);
    if (field == "create_time" && !c.is_there) return Time(c, "job.create_time");
    if (field == "end_time") return EndTime(c);
    for (const Column& text : kTexts) {
      if (field == text.field && IsWholeText(c)) {
        return Condition{absl::StrCat("(", text.column, " = ", Place(c.text), ")"), true};
      }
    }
    for (const Column& integer : kIntegers) {
      if (field == integer.field && !c.is_there) {
        return Condition{
            absl::StrCat("(", integer.column, SqlOperator(c.op), Place(c.integer), ")"), true};
      }
    }
    if (IsLabel(c)) return Label(c);
    return Record(c);
  }

  Condition Time(const FieldComparison& c, absl::string_view column) {
    return {absl::StrCat("(", column, SqlOperator(c.op), Place(absl::ToUnixNanos(c.time)), ")"),
            true};
  }

  Condition EndTime(const FieldComparison& c) {
    const std::string ended = "(job.end_time <> 0)";
    if (c.is_there) return {ended, true};
    return {absl::StrCat("(", ended, " AND ", Time(c, "job.end_time").sql, ")"), true};
  }

  Condition Label(const FieldComparison& c) {
    const std::string key = Place(c.steps[0].key), value = Place(c.text);
    return {absl::StrCat("EXISTS (SELECT 1 FROM job_label AS has WHERE has.tenant = job.tenant AND "
                         "has.key = ",
                         key, " AND has.value = ", value,
                         " AND has.create_time = job.create_time AND has.job = job.sequence)"),
            true};
  }

  // Keys and strings stand in the record as they are: a record without them doesn't match.
  std::optional<Condition> Record(const FieldComparison& c) {
    const std::string& root = c.steps[0].field->name();
    if (std::count(std::begin(kNotAsRecorded), std::end(kNotAsRecorded), root) > 0) {
      return std::nullopt;
    }
    std::vector<std::string> parts;
    auto add = [&](const std::string& text) {
      if (text.size() < kTellingBytes) return;
      parts.push_back(absl::StrCat("instr(job.record, CAST(", Place(text), " AS BLOB)) > 0"));
    };
    for (const FilterStep& step : c.steps) add(step.key);
    const FieldDescriptor* leaf = c.steps.back().field;
    if (leaf != nullptr && leaf->is_map()) leaf = leaf->message_type()->map_value();
    if (leaf != nullptr && leaf->cpp_type() == FieldDescriptor::CPPTYPE_STRING && c.IsEquality()) {
      add(c.text);
    }
    if (parts.empty()) return std::nullopt;
    return Condition{absl::StrCat("(", absl::StrJoin(parts, " AND "), ")"), false};
  }

  std::vector<Value>& values_;
};

// What every match must have.
struct Narrowed {
  int64_t first = kLowest, last = kHighest;  // of the order's time
  std::optional<int64_t> state;
  const FieldComparison* label = nullptr;
};

void NarrowTime(const FieldComparison& c, Narrowed& narrowed) {
  const int64_t time = absl::ToUnixNanos(c.time);
  if (time == kLowest || time == kHighest) return;
  if (c.op == FilterOperator::kLess) {
    narrowed.last = std::min(narrowed.last, time - 1);
  } else if (c.op == FilterOperator::kGreater) {
    narrowed.first = std::max(narrowed.first, time + 1);
  } else {
    if (c.op != FilterOperator::kGreaterEqual) narrowed.last = std::min(narrowed.last, time);
    if (c.op != FilterOperator::kLessEqual) narrowed.first = std::max(narrowed.first, time);
  }
}

// From comparisons that are joined by AND.
void Narrow(const Node& node, JobOrder order, Narrowed& narrowed) {
  if (node.kind == Kind::kAnd) {
    for (const Node& operand : node.operands) Narrow(operand, order, narrowed);
  }
  if (node.kind != Kind::kComparison || node.comparison.is_there) return;
  const FieldComparison& c = node.comparison;
  if (order.by == JobOrder::By::kEndTime) {
    if (PlainField(c) != "end_time") return;
    NarrowTime(c, narrowed);
    narrowed.first = std::max<int64_t>(narrowed.first, 1);  // it has ended
  } else if (PlainField(c) == "create_time") {
    NarrowTime(c, narrowed);
  } else if (PlainField(c) == "state") {
    narrowed.state = c.integer;
  } else if (IsLabel(c)) {
    narrowed.label = &c;
  }
}

}  // namespace

absl::StatusOr<JobOrder> ParseJobOrder(absl::string_view order_by) {
  ASSIGN_OR_RETURN(const ListOrder order, ParseOrderBy(order_by, {"create_time", "end_time"}));
  return JobOrder{order.field == 0 ? JobOrder::By::kCreateTime : JobOrder::By::kEndTime,
                  order.descending};
}

JobScan::JobScan(const std::string& tenant, const MessageFilter& filter, JobOrder order,
                 const std::optional<PagePosition>& after) {
  Narrowed narrowed;
  Narrow(filter.root(), order, narrowed);
  Translator translator(&values_);
  auto place = [&](const auto& value) { return translator.Place(value); };
  const std::optional<Condition> condition = translator.Translate(filter.root());
  std::string from, time = "job.create_time", sequence = "job.sequence";
  if (narrowed.label != nullptr) {
    time = "label.create_time";
    sequence = "label.job";
    from = absl::StrCat("job_label AS label CROSS JOIN job ON job.sequence = label.job ",
                        "WHERE label.tenant = ", place(tenant),
                        " AND label.key = ", place(narrowed.label->steps[0].key),
                        " AND label.value = ", place(narrowed.label->text));
  } else if (narrowed.state.has_value()) {
    from = absl::StrCat("job INDEXED BY job_state_created WHERE job.tenant = ", place(tenant),
                        " AND job.state = ", place(*narrowed.state));
  } else if (order.by == JobOrder::By::kCreateTime) {
    from = absl::StrCat("job INDEXED BY job_created WHERE job.tenant = ", place(tenant));
  } else {
    time = "job.end_time";
    from = absl::StrCat("job INDEXED BY job_ended WHERE job.tenant = ", place(tenant));
  }
  const bool down = order.descending;
  const PagePosition begin = after.value_or(down ? PagePosition{narrowed.last, kHighest}
                                                 : PagePosition{narrowed.first, kLowest});
  sql_ = absl::StrCat("SELECT ", time, ", ", sequence, ", ", condition ? condition->sql : "1",
                      " FROM ", from, " AND ", time, down ? " >= " : " <= ",
                      place(down ? narrowed.first : narrowed.last), " AND (", time, ", ", sequence,
                      ")", down ? " < (" : " > (", place(begin.value), ", ",
                      place(begin.sequence), ") ORDER BY ", time, down ? " DESC, " : ", ",
                      sequence, down ? " DESC" : "");
}

Statement JobScan::Prepare(Connection& connection) const {
  Statement statement = connection.PrepareOnce(sql_);
  for (size_t i = 0; i < values_.size(); ++i) {
    const int position = static_cast<int>(i) + 1;
    if (const auto* integer = std::get_if<int64_t>(&values_[i])) {
      statement.Bind(position, *integer);
    } else {
      statement.Bind(position, std::get<std::string>(values_[i]));
    }
  }
  return statement;
}

}  // namespace radiograph
