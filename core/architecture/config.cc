#include "core/architecture/config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/types/span.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"

namespace radiograph {
namespace {

using Words = absl::Span<const absl::string_view>;

constexpr size_t kExcerptBytesMax = 60;  // of a key, and of a value

// The function inside the MLP.
constexpr absl::string_view kActivationKeys[] = {"hidden_act",
                                                 "hidden_activation",
                                                 "activation_function",
                                                 "activation",
                                                 "activation_fn",
                                                 "act_fn",
                                                 "act",
                                                 "mlp_act",
                                                 "mlp_activation",
                                                 "ffn_activation",
                                                 "nonlinearity",
                                                 "non_linearity",
                                                 "gate",
                                                 "gate_act",
                                                 "gate_activation"};
constexpr absl::string_view kResidualKeys[] = {"residual",
                                               "use_residual",
                                               "residuals",
                                               "residual_connection",
                                               "residual_connections",
                                               "skip",
                                               "use_skip",
                                               "skip_connection",
                                               "skip_connections",
                                               "shortcut",
                                               "use_shortcut",
                                               "shortcut_connection"};
constexpr absl::string_view kBiasKeys[] = {"bias", "use_bias", "mlp_bias"};
constexpr absl::string_view kLayerKeys[] = {"n_layer", "n_layers", "num_layers",
                                            "num_hidden_layers", "depth"};
// Texts that mean there is none.
constexpr absl::string_view kOff[] = {"",      "none",   "null",     "no",      "off",
                                      "false", "linear", "identity", "bilinear"};

// Keys that leave the function of a trained layer as it is: sizes that the tensors show, training,
// text handling, generation, and attention, which no MLP holds.
constexpr absl::string_view kHarmless[] = {
    "d_input", "d_hidden", "d_output", "d_model", "d_mlp", "d_head", "d_in", "d_out", "d_vocab",
    "n_ctx", "n_head", "n_heads", "n_embd", "n_inner", "n_positions", "n_classes", "n_hidden",
    "input_dim", "hidden_dim", "output_dim", "in_dim", "out_dim", "embed_dim", "embedding_dim",
    "input_size", "hidden_size", "output_size", "in_features", "out_features", "hidden_features",
    "width", "height", "channels", "in_channels", "num_channels", "image_size", "image_shape",
    "patch_size", "num_classes", "num_labels", "intermediate_size", "ffn_dim", "vocab_size",
    "type_vocab_size", "num_attention_heads", "num_key_value_heads", "num_heads", "head_dim",
    "max_position_embeddings", "max_seq_len", "max_length", "seq_len", "context_length",
    "block_size",
    // training
    "lr", "wd", "weight_decay", "momentum", "beta1", "beta2", "betas", "adam_eps", "adam_epsilon",
    "scheduler", "schedule", "loss", "criterion", "metric", "metrics", "noise", "input_noise",
    "latent_noise", "noise_std", "augment", "augmentation", "augmentations", "label_smoothing",
    "shuffle", "steps", "step", "max_steps", "n_steps", "num_steps", "iterations", "patience",
    "grad_clip", "clip_grad", "clip_grad_norm", "max_grad_norm", "gradient_clip_norm",
    "gradient_clipping", "gradient_clip_val", "gradient_checkpointing", "initializer_range", "init",
    "init_std", "initialization", "fp16", "bf16", "amp", "precision", "compile", "split",
    "val_split", "test_split", "mixed_precision", "dtype", "torch_dtype", "train", "training",
    // housekeeping
    "name", "project", "run", "run_id", "run_name", "tags", "notes", "author", "date", "time",
    "timestamp", "version", "description", "comment", "git", "commit", "config", "format",
    "license", "model_type", "architectures", "architecture", "class", "classes", "class_names",
    "labels", "names", "id2label", "label2id", "auto_map", "finetuning_task", "problem_type",
    "task_specific_params", "task", "tasks", "transformers_version", "torchscript", "use_cache",
    "return_dict", "use_return_dict", "output_attentions", "output_hidden_states", "is_decoder",
    "is_encoder_decoder", "add_cross_attention", "chunk_size_feed_forward", "pretraining_tp",
    "tie_word_embeddings", "tie_encoder_decoder", "tied", "tied_head", "pruned_heads",
    "generation_config", "wandb",
    // text and generation
    "tokenizer", "tokenizer_class", "prefix", "bad_words_ids", "do_sample", "early_stopping",
    "num_beams", "num_beam_groups", "num_return_sequences", "top_k", "top_p", "typical_p",
    "min_length", "length_penalty", "repetition_penalty", "diversity_penalty",
    "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "remove_invalid_values",
    "suppress_tokens", "begin_suppress_tokens", "sep_token",
    // attention and positions
    "rope_theta", "rope_scaling", "rope_parameters", "rotary_dim", "rotary_pct",
    "partial_rotary_factor", "attention_bias", "sliding_window", "use_sliding_window",
    "max_window_layers", "layer_types", "attn_implementation", "attention_type",
    "scale_attn_weights", "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn",
    "position_embedding_type"};
// Parts of keys of the same kind. Looked at only in keys without one of kTelling.
constexpr absl::string_view kHarmlessParts[] = {
    "dropout", "drop_path", "_pdrop",    "token_id", "optim",      "learning_rate", "warmup",
    "decay",   "epoch",     "batch",     "seed",     "checkpoint", "dataset",       "num_workers",
    "device",  "wandb",     "log_every", "logging",  "eval_every", "save_every",    "summary_"};
constexpr absl::string_view kHarmlessEnds[] = {"_path", "_dir", "_file", "_name", "_url"};
// Parts of keys that speak of the function, whatever else the key says (batch_norm).
constexpr absl::string_view kTelling[] = {"norm", "scale",      "scaling",  "multiplier",
                                          "gain", "activation", "residual", "skip"};

bool IsOneOf(absl::string_view word, Words words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}
bool HoldsOneOf(absl::string_view word, Words parts) {
  return std::any_of(parts.begin(), parts.end(),
                     [&](absl::string_view part) { return absl::StrContains(word, part); });
}

bool IsHarmless(absl::string_view key) {
  if (IsOneOf(key, kHarmless) || absl::StartsWith(key, "_")) return true;
  if (HoldsOneOf(key, kTelling)) return false;
  return HoldsOneOf(key, kHarmlessParts) ||
         std::any_of(std::begin(kHarmlessEnds), std::end(kHarmlessEnds),
                     [&](absl::string_view end) { return absl::EndsWith(key, end); });
}

bool IsOff(const Json& value) {
  if (value.is_string()) return IsOneOf(absl::AsciiStrToLower(value.get<std::string>()), kOff);
  return value.is_null() || value == Json(false) || value == Json(0) ||
         (value.is_structured() && value.empty());
}

// true and false, also as 1 and 0 or as words.
std::optional<bool> Truth(const Json& value) {
  if (value == Json(true) || value == Json(1)) return true;
  if (value.is_string()) {
    const std::string word = absl::AsciiStrToLower(value.get<std::string>());
    if (word == "true" || word == "yes") return true;
  }
  if (IsOff(value)) return false;
  return std::nullopt;
}

class Reader {
 public:
  explicit Reader(Config& config) : config_(config) {}

  void Read(const Json& object, const std::string& path) {
    for (const auto& [name, value] : object.items()) {
      const std::string key =
          absl::StrReplaceAll(absl::AsciiStrToLower(name), {{"-", "_"}, {" ", "_"}});
      const std::string full = path.empty() ? name : absl::StrCat(path, ".", name);
      if (IsHarmless(key)) continue;
      if (value.is_object()) {
        Read(value, full);
      } else if (!ReadKey(key, value)) {
        Unheeded(key, full, value);
      }
    }
  }

 private:
  // False when the key says what is not understood.
  bool ReadKey(absl::string_view key, const Json& value) {
    if (IsOneOf(key, kActivationKeys)) {
      if (IsOff(value)) return true;
      if (!value.is_string()) return false;
      config_.activation = absl::AsciiStrToLower(value.get<std::string>());
      return true;
    }
    const std::optional<bool> truth = Truth(value);
    if (IsOneOf(key, kResidualKeys)) {
      if (truth.has_value()) config_.residual |= *truth;
      return truth.has_value();
    }
    if (IsOneOf(key, kBiasKeys)) {
      if (truth.has_value()) config_.bias = truth;
      return truth.has_value();
    }
    if (key == "bilinear") {
      if (truth.has_value()) config_.says_not_bilinear |= !*truth;
      return truth.has_value();
    }
    if (IsOneOf(key, kLayerKeys)) {
      if (value.is_number_integer() && value >= 0 && value < (1 << 30)) {
        config_.n_layers = value.get<int64_t>();
      }
      return true;
    }
    return false;
  }

  void Unheeded(absl::string_view key, const std::string& full, const Json& value) {
    const bool scale = absl::StrContains(key, "scale") || absl::StrContains(key, "multiplier") ||
                       absl::StrContains(key, "scaling");
    if (IsOff(value) || (scale && value == Json(1))) return;
    ++count_;
    if (config_.unheeded.size() == kUnheededMax) {
      config_.unheeded.back() = absl::StrCat(count_ - kUnheededMax + 1, " more");
      return;
    }
    const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
    std::string shown = JsonExcerpt(text, kExcerptBytesMax);
    if (text.size() <= kExcerptBytesMax) shown = text;
    std::string name = full;
    if (name.size() > kExcerptBytesMax) name = JsonExcerpt(full, kExcerptBytesMax);
    config_.unheeded.push_back(absl::StrCat(name, " = ", shown));
  }

  Config& config_;
  size_t count_ = 0;
};

}  // namespace

absl::StatusOr<Config> ReadConfig(absl::string_view text) {
  if (static_cast<int64_t>(text.size()) > kConfigBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("it has ", text.size(), " bytes; at most ", kConfigBytesMax, " are read"));
  }
  ASSIGN_OR_RETURN(const Json json,
                   ParseJson(text, {.bytes_max = kConfigBytesMax, .python_literals = true}));
  if (!json.is_object()) {
    return absl::InvalidArgumentError("it holds no JSON object");
  }
  Config config;
  Reader(config).Read(json, "");
  return config;
}

}  // namespace radiograph
