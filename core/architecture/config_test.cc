#include "core/architecture/config.h"

#include "tests/support/status_matchers.h"

namespace radiograph {
namespace {

using ::radiograph::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

Config Read(absl::string_view text) {
  absl::StatusOr<Config> config = ReadConfig(text);
  EXPECT_OK(config) << text;
  return config.ok() ? *std::move(config) : Config();
}

TEST(ReadConfig, AnActivationUnderAnyOfItsKeysCounts) {
  EXPECT_EQ(Read(R"({"hidden_act": "linear", "activation": "GELU"})").activation, "gelu");
  EXPECT_EQ(Read(R"({"model": {"mlp": {"act_fn": "relu"}}})").activation, "relu");
  for (const char* none : {R"({"gate": null})", R"({"activation": "none"})", R"({"act": false})",
                           R"({"activation": "Bilinear"})", R"({"gate": ""})"}) {
    EXPECT_EQ(Read(none).activation, "") << none;
    EXPECT_THAT(Read(none).unheeded, ElementsAre()) << none;
  }
  EXPECT_THAT(Read(R"({"activation": ["gelu"]})").unheeded,
              ElementsAre(R"(activation = ["gelu"])"));
}

TEST(ReadConfig, AResidualIsReadUnderItsUsualKeys) {
  for (const char* yes : {R"({"residual": true})", R"({"use_residual": 1})", R"({"Skip": "yes"})",
                          R"({"model": {"skip-connection": true}})"}) {
    EXPECT_TRUE(Read(yes).residual) << yes;
    EXPECT_THAT(Read(yes).unheeded, ElementsAre()) << yes;
  }
  for (const char* no : {R"({"residual": false})", R"({"skip": "none"})", R"({"residual": 0})"}) {
    EXPECT_FALSE(Read(no).residual) << no;
  }
  EXPECT_THAT(Read(R"({"residual": 0.5})").unheeded, ElementsAre("residual = 0.5"));
}

TEST(ReadConfig, ReadsWhatPythonWrites) {
  for (const char* text :
       {R"({"dropout": NaN, "residual": true})",
        R"({"dropout": [0.0, Infinity], "residual": true})",
        R"({"dropout": {"a": -Infinity}, "residual": true})", "\xEF\xBB\xBF{\"residual\": true}"}) {
    EXPECT_TRUE(Read(text).residual) << text;
    EXPECT_THAT(Read(text).unheeded, ElementsAre()) << text;
  }
  const std::string names =
      "{\"" + std::string(3 << 20, 'n') + "\": 0}";  // a megabyte was too long
  EXPECT_TRUE(Read("{\"residual\": true, \"id2label\": " + names + "}").residual);
}

TEST(ReadConfig, WhatChangesTheFunctionAndIsNotReadIsNamed) {
  EXPECT_THAT(Read(R"({"normalization": "rms", "logit_scale": 8, "batch_norm": true,
                       "output": {"softcap": 30.0}, "use_tanh": true})")
                  .unheeded,
              ElementsAre("batch_norm = true", "logit_scale = 8", R"(normalization = "rms")",
                          "output.softcap = 30.0", "use_tanh = true"));
}

TEST(ReadConfig, WhatIsSwitchedOffOrHarmlessIsNot) {
  EXPECT_THAT(Read(R"({"normalization": null, "scale": 1.0, "layer_norm": false, "softcap": 0,
                       "lr": 1e-3, "epochs": 10, "batch_size": 64, "wd": 1.0, "seed": 3,
                       "optimizer": {"name": "adam", "scale": 7}, "id2label": {"0": "zero"},
                       "d_input": 784, "dropout": 0.1, "attention_dropout": 0.0,
                       "max_grad_norm": 1.0, "_commit": "x", "bos_token_id": 1,
                       "noise": 0.4, "run_name": "a", "torch_dtype": "float32"})")
                  .unheeded,
              ElementsAre());
}

TEST(ReadConfig, SaysWhetherItIsBilinear) {
  EXPECT_TRUE(Read(R"({"bilinear": false})").says_not_bilinear);
  EXPECT_FALSE(Read(R"({"bilinear": true})").says_not_bilinear);
  EXPECT_EQ(Read(R"({"bias": false})").bias, false);
  EXPECT_EQ(Read(R"({"num_hidden_layers": 12})").n_layers, 12);
}

TEST(ReadConfig, ListsAreBounded) {
  std::string text = "{";
  for (int i = 0; i < 100; ++i) text += "\"key" + std::to_string(i) + "\": 7, ";
  text += "\"" + std::string(500, 'k') + "\": \"" + std::string(500, 'v') + "\"}";
  const Config config = Read(text);
  EXPECT_THAT(config.unheeded, SizeIs(kUnheededMax));
  EXPECT_EQ(config.unheeded.back(), "86 more");
  for (const std::string& one : config.unheeded) EXPECT_LT(one.size(), 200u);
}

TEST(ReadConfig, RefusesWhatIsNoObject) {
  for (const char* text : {"[1]", "3", "{", "", "null"}) {
    EXPECT_THAT(ReadConfig(text), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("")))
        << text;
  }
  EXPECT_THAT(ReadConfig(std::string(kConfigBytesMax + 1, ' ')),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at most 16777216")));
}

}  // namespace
}  // namespace radiograph
