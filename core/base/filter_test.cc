#include "core/base/filter.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

// "(and labels.team = core, (not ...))"; what was quoted is, wildcards are %.
std::string Text(const FilterNode& node) {
  constexpr absl::string_view kOperators[] = {"=", "!=", "<", "<=", ">", ">=", ":"};
  if (node.kind == FilterNode::Kind::kComparison) {
    const FilterComparison& comparison = node.comparison;
    const std::string path =
        absl::StrJoin(comparison.path, ".", [](std::string* to, const FilterName& name) {
          absl::StrAppend(to, name.quoted ? "'" : "", name.text, name.quoted ? "'" : "");
        });
    std::string value = comparison.value.text;
    for (const size_t star : comparison.value.stars) value[star] = '%';
    if (comparison.value.quoted) value = absl::StrCat("'", value, "'");
    return absl::StrCat(path, " ", kOperators[static_cast<int>(comparison.op)], " ", value);
  }
  const absl::string_view word = node.kind == FilterNode::Kind::kAnd  ? "and"
                                 : node.kind == FilterNode::Kind::kOr ? "or"
                                                                      : "not";
  return absl::StrCat("(", word, node.operands.empty() ? "" : " ",
                      absl::StrJoin(node.operands, ", ",
                                    [](std::string* to, const FilterNode& operand) {
                                      absl::StrAppend(to, Text(operand));
                                    }),
                      ")");
}

TEST(Filter, IsReadByTheGrammarOfAip160) {
  struct Case {
    const char* filter;
    const char* tree;
  };
  for (const Case& c : std::vector<Case>{
           {"", "(and)"},
           {"  \n", "(and)"},
           {"a = 1", "a = 1"},
           {"a=1", "a = 1"},
           {"a<1 b<=2 c>3 d>=4 e!=5 f:6", "(and a < 1, b <= 2, c > 3, d >= 4, e != 5, f : 6)"},
           {"a = 1 AND b = 2", "(and a = 1, b = 2)"},
           {"a = 1 AND b = 2 OR c = 3", "(and a = 1, (or b = 2, c = 3))"},
           {"a = 1 OR b = 2 AND c = 3", "(and (or a = 1, b = 2), c = 3)"},
           {"a = 1 b = 2 OR c = 3", "(and a = 1, (or b = 2, c = 3))"},
           {"a = 1 b = 2 AND c = 3", "(and a = 1, b = 2, c = 3)"},
           {"(a = 1 AND b = 2) OR c = 3", "(or (and a = 1, b = 2), c = 3)"},
           {"((a = 1))", "a = 1"},
           {"NOT a = 1", "(not a = 1)"},
           {"-a = 1", "(not a = 1)"},
           {"NOT (a = 1 OR b = 2)", "(not (or a = 1, b = 2))"},
           {"NOT(a = 1) -(b = 2)", "(and (not a = 1), (not b = 2))"},
           {"NOT a = 1 OR b = 2", "(or (not a = 1), b = 2)"},
           {"a.b.c = x.y", "a.b.c = x.y"},
           {"a.\"b c\".'d.e' = 'f g'", "a.'b c'.'d.e' = 'f g'"},
           {"NOTES = 1 ORDER = 2", "(and NOTES = 1, ORDER = 2)"},
           {"a.NOT = 1", "a.NOT = 1"},
           {"a > -5 b = -1.5e-3", "(and a > -5, b = -1.5e-3)"},
           {"t > 2026-01-31T12:00:00Z", "t > 2026-01-31T12:00:00Z"},
           {"m:* n:\"*\"", "(and m : %, n : '%')"},
           {"a = *x b = y*", "(and a = %x, b = y%)"},
           {R"(a = "\*x\"\\*")", "a = '*x\"\\%'"},
           {"a = '\"' b = \"'\"", "(and a = '\"', b = ''')"},
           {"a = (1 OR 2)", "(or a = 1, a = 2)"},
           {"a:(x AND NOT 'y z') b = 3", "(and (and a : x, (not a : 'y z')), b = 3)"},
           {"a = (-1 OR (2 OR 3))", "(or a = -1, (or a = 2, a = 3))"},
           {"inputs.*.artifacts.digest:ab", "inputs.*.artifacts.digest : ab"},
           {"größe = ü", "größe = ü"}}) {
    ASSERT_OK_AND_ASSIGN(const FilterNode node, ParseFilter(c.filter));
    EXPECT_EQ(Text(node), c.tree) << c.filter;
  }
}

TEST(Filter, RefusalsSayWhereWhatAndWhatWouldBeRight) {
  struct Case {
    std::string filter;
    const char* message;
  };
  for (const Case& c : std::vector<Case>{
           {"prod", "at 1: \"prod\" is compared with nothing; NAME = VALUE"},
           {"a = 1 b", "at 7: \"b\" is compared with nothing"},
           {"a.b AND c = 1", "at 1: \"a.b\" is compared with nothing"},
           {"a = 1 and b = 2", "at 7: \"and\" is written AND here"},
           {"a = 1 || b = 2", "at 7: \"||\" is written OR here"},
           {"not a = 1", "at 1: \"not\" is written NOT here"},
           {"a == 1", "at 4: \"= 1\" stands where a value is expected"},
           {"a = ", "at 5: the filter ends where a value is expected"},
           {"a = AND", "at 5: \"AND\" stands where a value is expected"},
           {"a = :b", "at 5: \":b\" stands where a value is expected"},
           {"a = b=c", "at 6: \"=c\" stands where a comparison, as in state = RUNNING, is"},
           {"= 1", "at 1: \"= 1\" stands where a comparison"},
           {"AND a = 1", "at 1: \"AND a = 1\" stands where a comparison"},
           {"a = 1 AND", "at 10: the filter ends where a comparison"},
           {"a = 1 OR OR b = 2", "at 10: \"OR b = 2\" stands where a comparison"},
           {"NOT NOT a = 1", "at 5: \"NOT a = 1\" stands where a comparison"},
           {"a. = 1", "at 3: \" = 1\" stands where a name is expected"},
           {"a..b = 1", "at 3: \".b = 1\" stands where a name is expected"},
           {"(a = 1", "at 1: this parenthesis is not closed"},
           {"a = 1)", "at 6: \")\" stands where AND, OR or another comparison is expected"},
           {"()", "at 2: \")\" stands where a comparison"},
           {"a = \"x", "at 5: this quote is not closed"},
           {"a = 'x\\", "at 5: this quote is not closed"},
           {"f(a)", "at 1: functions are not supported"},
           {"a = 1 math.mem('x') = 2", "at 7: functions are not supported"},
           {"a != (1 OR 2)", "at 6: (...) after != can be read in two ways"},
           {"a = (b = 1)", "at 8: \"= 1)\" stands where a value is expected"},
           {"a = 1, b = 2", "at 6: \", b = 2\" stands where a comparison"},
           {"a ! b", "at 1: \"a\" is compared with nothing"},
           {"\xff = 1", "not UTF-8"},
           {std::string(kFilterBytesMax + 1, ' '), "4097 bytes; at most 4096"}}) {
    EXPECT_THAT(ParseFilter(c.filter),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)))
        << c.filter;
  }
}

TEST(Filter, DepthAndComparisonsHaveLimits) {
  auto nested = [](int depth) {
    return absl::StrCat(std::string(depth, '('), "a = 1", std::string(depth, ')'));
  };
  EXPECT_OK(ParseFilter(nested(kFilterDepthMax)));
  EXPECT_THAT(ParseFilter(nested(kFilterDepthMax + 1)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at 17: more than 16 paren")));
  std::string beside, many = "a = 1";
  for (int i = 0; i <= kFilterDepthMax; ++i) absl::StrAppend(&beside, " (a = 1)");
  EXPECT_OK(ParseFilter(beside)) << "side by side is not in each other";
  for (int i = 1; i < kFilterComparisonsMax; ++i) absl::StrAppend(&many, " OR a = ", i);
  EXPECT_OK(ParseFilter(many));
  EXPECT_THAT(ParseFilter(many + " b = 2"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("more than 64 comparisons")));
}

}  // namespace
}  // namespace radiograph
