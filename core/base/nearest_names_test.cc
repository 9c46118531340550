#include "core/base/nearest_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace radiograph {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(NearestNames, BestFirstThenAlphabetical) {
  std::vector<std::string> names = {"rows", "k", "centre", "layer", "layers", "space"};
  EXPECT_THAT(NearestNames("layer", names, 2), ElementsAre("layer", "layers"));
  EXPECT_THAT(NearestNames("center", names, 1), ElementsAre("centre"));
  EXPECT_THAT(NearestNames("rws", names, 2), ElementsAre("rows", "k"));
}

// "kitten" to "sitting" is 3 (two replaced, one added), to "kin" 3 (three removed), to "mitten" 1.
TEST(NearestNames, CountsReplacedAddedAndRemoved) {
  std::vector<std::string> names = {"sitting", "kin", "mitten", "kitchen"};
  EXPECT_THAT(NearestNames("kitten", names), ElementsAre("mitten", "kitchen", "kin", "sitting"));
}

TEST(NearestNames, NothingToOffer) {
  EXPECT_THAT(NearestNames("k", {}), IsEmpty());
  EXPECT_THAT(NearestNames("k", std::vector<std::string>{"k"}, 0), IsEmpty());
}

TEST(NearestText, SaysNothingWithoutNames) {
  EXPECT_EQ(NearestText("; nearest: ", "a", std::vector<std::string>{"b", "ab"}),
            "; nearest: ab, b");
  EXPECT_EQ(NearestText("; nearest: ", "a", std::vector<std::string>{"b", "ab"}, 1),
            "; nearest: ab");
  EXPECT_EQ(NearestText("; nearest: ", "a", {}), "");
  EXPECT_EQ(NearestText("; nearest: ", "a", std::vector<std::string>{"b"}, 0), "");
}

TEST(NearestNames, LongNamesThatDifferInTheMiddle) {
  std::string prefix(1000, 'p'), suffix(20, 's');
  std::vector<std::string> names = {prefix + "12" + suffix, prefix + "2" + suffix,
                                    prefix + "333" + suffix};
  EXPECT_THAT(NearestNames(prefix + "1" + suffix, names, 2), ElementsAre(names[0], names[1]));
}

}  // namespace
}  // namespace radiograph
