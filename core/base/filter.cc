#include "core/base/filter.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

using Kind = FilterNode::Kind;

struct OperatorText {
  absl::string_view text;
  FilterOperator op;
};
// A longer one stands before its beginning.
constexpr OperatorText kOperators[] = {
    {"<=", FilterOperator::kLessEqual}, {">=", FilterOperator::kGreaterEqual},
    {"!=", FilterOperator::kNotEqual},  {"<", FilterOperator::kLess},
    {">", FilterOperator::kGreater},    {"=", FilterOperator::kEqual},
    {":", FilterOperator::kHas},
};

// What people write who know other languages.
constexpr std::pair<absl::string_view, absl::string_view> kHabits[] = {
    {"and", "AND"}, {"or", "OR"}, {"not", "NOT"}, {"&&", "AND"}, {"||", "OR"}};

bool IsSpace(char c) { return absl::ascii_isspace(c); }
bool IsQuote(char c) { return c == '"' || c == '\''; }
bool EndsValue(char c) {
  return IsSpace(c) || IsQuote(c) || absl::StrContains("(),=<>!", absl::string_view(&c, 1));
}
bool EndsName(char c) { return EndsValue(c) || c == '.' || c == ':'; }
bool IsKeyword(absl::string_view word) { return word == "AND" || word == "OR" || word == "NOT"; }

FilterNode NodeOf(Kind kind) {
  FilterNode node;
  node.kind = kind;
  return node;
}

// What has one operand is that one.
FilterNode Collapsed(FilterNode node) {
  if (node.operands.size() != 1) return node;
  FilterNode only = std::move(node.operands[0]);
  return only;
}

// One level of the grammar is one function.
class FilterParser {
 public:
  explicit FilterParser(absl::string_view text) : text_(text) {}

  absl::StatusOr<FilterNode> Parse() {
    SkipSpace();
    if (AtEnd()) return FilterNode{};
    ASSIGN_OR_RETURN(FilterNode node, Expression(nullptr));
    if (!AtEnd()) return Expected("AND, OR or another comparison");
    return node;
  }

 private:
  // Where it is given, values stand alone and are compared as it says.
  using Outer = const FilterComparison*;

  // sequence {AND sequence}, where a sequence is factors side by side: both mean "and".
  absl::StatusOr<FilterNode> Expression(Outer outer) {
    FilterNode all = NodeOf(Kind::kAnd);
    while (true) {
      ASSIGN_OR_RETURN(all.operands.emplace_back(), Factor(outer));
      SkipSpace();
      if (!TakeKeyword("AND") && (AtEnd() || Peek() == ')')) return Collapsed(std::move(all));
      SkipSpace();
    }
  }

  // term {OR term}
  absl::StatusOr<FilterNode> Factor(Outer outer) {
    FilterNode any = NodeOf(Kind::kOr);
    while (true) {
      ASSIGN_OR_RETURN(any.operands.emplace_back(), Term(outer));
      SkipSpace();
      if (!TakeKeyword("OR")) return Collapsed(std::move(any));
      SkipSpace();
    }
  }

  // [NOT | -] simple. Before a value that stands alone, - is of the value.
  absl::StatusOr<FilterNode> Term(Outer outer) {
    bool negated = TakeKeyword("NOT");
    if (negated) {
      SkipSpace();
    } else if (!AtEnd() && Peek() == '-' && outer == nullptr) {
      negated = true;
      ++at_;
    }
    ASSIGN_OR_RETURN(FilterNode node, Simple(outer));
    if (!negated) return node;
    FilterNode none = NodeOf(Kind::kNot);
    none.operands.push_back(std::move(node));
    return none;
  }

  absl::StatusOr<FilterNode> Simple(Outer outer) {
    if (!AtEnd() && Peek() == '(') return Composite(outer);
    if (outer == nullptr) return Restriction();
    FilterNode node = NodeOf(Kind::kComparison);
    node.comparison = *outer;
    ASSIGN_OR_RETURN(node.comparison.value, Value());
    RETURN_IF_ERROR(Count());
    return node;
  }

  // ( expression )
  absl::StatusOr<FilterNode> Composite(Outer outer) {
    if (++depth_ > kFilterDepthMax) {
      return FilterError(at_,
                         absl::StrCat("more than ", kFilterDepthMax, " parentheses in each other"));
    }
    const size_t open = at_++;
    SkipSpace();
    ASSIGN_OR_RETURN(FilterNode node, Expression(outer));
    if (AtEnd()) return FilterError(open, "this parenthesis is not closed; ) is missing");
    ++at_;
    --depth_;
    return node;
  }

  // member [comparator arg]
  absl::StatusOr<FilterNode> Restriction() {
    FilterNode node = NodeOf(Kind::kComparison);
    FilterComparison& comparison = node.comparison;
    comparison.position = at_;
    ASSIGN_OR_RETURN(comparison.path, Member());
    const size_t end = at_;
    SkipSpace();
    if (!TakeOperator(comparison.op)) return NoOperator(comparison, end);
    SkipSpace();
    if (AtEnd() || Peek() != '(') {
      ASSIGN_OR_RETURN(comparison.value, Value());
      RETURN_IF_ERROR(Count());
      return node;
    }
    if (comparison.op == FilterOperator::kNotEqual) {
      return FilterError(at_, "(...) after != can be read in two ways; write NOT name = (...)");
    }
    return Composite(&comparison);
  }

  // value {. field}
  absl::StatusOr<std::vector<FilterName>> Member() {
    std::vector<FilterName> path;
    while (true) {
      FilterName name;
      if (!AtEnd() && IsQuote(Peek())) {
        ASSIGN_OR_RETURN(FilterValue quoted, Quoted());
        name = {std::move(quoted.text), true};
      } else {
        name.text = std::string(TakeUntil(EndsName));
        if (name.text.empty() || (path.empty() && IsKeyword(name.text))) {
          at_ -= name.text.size();
          return Expected(path.empty() ? "a comparison, as in state = RUNNING," : "a name");
        }
      }
      path.push_back(std::move(name));
      if (AtEnd() || Peek() != '.') return path;
      ++at_;
    }
  }

  absl::StatusOr<FilterValue> Value() {
    if (!AtEnd() && IsQuote(Peek())) return Quoted();
    FilterValue value;
    value.position = at_;
    value.text = std::string(TakeUntil(EndsValue));
    if (value.text.empty() || value.text[0] == ':' || IsKeyword(value.text)) {
      at_ = value.position;
      return Expected("a value");
    }
    for (size_t i = 0; i < value.text.size(); ++i) {
      if (value.text[i] == '*') value.stars.push_back(i);
    }
    return value;
  }

  absl::StatusOr<FilterValue> Quoted() {
    FilterValue value;
    value.quoted = true;
    value.position = at_;
    for (const char quote = text_[at_++]; !AtEnd(); ++at_) {
      if (Peek() == quote) {
        ++at_;
        return value;
      }
      if (Peek() == '*') value.stars.push_back(value.text.size());
      if (Peek() == '\\' && ++at_ == text_.size()) break;
      value.text.push_back(Peek());
    }
    return FilterError(value.position, "this quote is not closed");
  }

  absl::Status NoOperator(const FilterComparison& comparison, size_t end) const {
    if (end < text_.size() && text_[end] == '(') {
      return FilterError(comparison.position, "functions are not supported");
    }
    const absl::string_view given = text_.substr(comparison.position, end - comparison.position);
    for (const auto& [habit, right] : kHabits) {
      if (absl::EqualsIgnoreCase(given, habit)) {
        return FilterError(comparison.position,
                           absl::StrCat(JsonExcerpt(given), " is written ", right, " here"));
      }
    }
    return FilterError(comparison.position,
                       absl::StrCat(JsonExcerpt(given),
                                    " is compared with nothing; NAME = VALUE is a comparison"));
  }

  absl::Status Count() {
    if (++comparisons_ <= kFilterComparisonsMax) return absl::OkStatus();
    return FilterError(at_, absl::StrCat("more than ", kFilterComparisonsMax, " comparisons"));
  }

  absl::Status Expected(absl::string_view what) const {
    const std::string found =
        AtEnd() ? "the filter ends" : absl::StrCat(JsonExcerpt(text_.substr(at_), 20), " stands");
    return FilterError(at_, absl::StrCat(found, " where ", what, " is expected"));
  }

  bool AtEnd() const { return at_ == text_.size(); }
  char Peek() const { return text_[at_]; }
  void SkipSpace() {
    while (!AtEnd() && IsSpace(Peek())) ++at_;
  }
  absl::string_view TakeUntil(bool (*ends)(char)) {
    const size_t begin = at_;
    while (!AtEnd() && !ends(Peek())) ++at_;
    return text_.substr(begin, at_ - begin);
  }
  // A whole word.
  bool TakeKeyword(absl::string_view word) {
    const size_t end = at_ + word.size();
    if (!absl::StartsWith(text_.substr(at_), word)) return false;
    if (end < text_.size() && !IsSpace(text_[end]) && text_[end] != '(') return false;
    at_ = end;
    return true;
  }
  bool TakeOperator(FilterOperator& op) {
    for (const OperatorText& candidate : kOperators) {
      if (!absl::StartsWith(text_.substr(at_), candidate.text)) continue;
      at_ += candidate.text.size();
      op = candidate.op;
      return true;
    }
    return false;
  }

  const absl::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
  int comparisons_ = 0;
};

}  // namespace

absl::StatusOr<FilterNode> ParseFilter(absl::string_view text) {
  if (text.size() > kFilterBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("filter has ", text.size(), " bytes; at most ",
                                                   kFilterBytesMax, " are allowed"));
  }
  if (!IsUtf8(text)) return absl::InvalidArgumentError("filter is not UTF-8");
  return FilterParser(text).Parse();
}

absl::Status FilterError(size_t position, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("filter, at ", position + 1, ": ", what));
}

}  // namespace radiograph
