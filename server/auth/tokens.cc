#include "server/auth/tokens.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/credentials.h"
#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/names.h"
#include "core/base/status_macros.h"
#include "server/store/tenant.h"

namespace radiograph {
namespace {

constexpr size_t kWordBytesMax = 64;

struct ScopeWord {
  absl::string_view word;
  Scopes scope, includes;
};
constexpr ScopeWord kScopeWords[] = {{"read", kRead, kRead},
                                     {"submit", kSubmit, kRead | kSubmit},
                                     {"admin", kAdmin, kRead | kSubmit | kAdmin},
                                     {"worker", kWorker, kWorker}};

std::string Quoted(absl::string_view value) {
  return absl::StrCat("'", Shown(value, kWordBytesMax), "'");
}

bool IsWord(absl::string_view text, absl::string_view others) {
  return !text.empty() && text.size() <= kWordBytesMax &&
         std::all_of(text.begin(), text.end(), [&](char c) {
           return absl::ascii_isalnum(c) || others.find(c) != others.npos;
         });
}

absl::StatusOr<Scopes> ParseScopes(absl::string_view text) {
  Scopes scopes = 0;
  for (const absl::string_view word : absl::StrSplit(text, ',')) {
    auto known = std::find_if(std::begin(kScopeWords), std::end(kScopeWords),
                              [&](const ScopeWord& scope) { return scope.word == word; });
    if (known == std::end(kScopeWords)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "scope ", Quoted(word), " is unknown; read, submit, admin and worker are allowed"));
    }
    scopes |= known->includes;
  }
  if ((scopes & kWorker) != 0 && scopes != kWorker) {
    return absl::InvalidArgumentError(
        absl::StrCat("scopes ", Quoted(text), ": worker stands alone, with a token of its own"));
  }
  return scopes;
}

absl::StatusOr<Token> ParseLine(absl::string_view line) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (words.size() != 4) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", words.size(), " words; SHA-256, tenant, scopes and name are meant"));
  }
  Token token{.sha256 = absl::AsciiStrToLower(words[0]),
              .tenant = std::string(words[1]),
              .scopes = 0,
              .name = std::string(words[3])};
  if (!IsSha256(token.sha256)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the first word, of ", words[0].size(),
                     " characters, is no SHA-256: 64 hexadecimal digits"));
  }
  ASSIGN_OR_RETURN(token.scopes, ParseScopes(words[2]));
  if (token.scopes == kWorker && token.tenant != kEveryTenant) {
    return absl::InvalidArgumentError(absl::StrCat("tenant ", Quoted(token.tenant),
                                                   ": a worker runs every tenant's jobs; write *"));
  }
  if (token.scopes != kWorker && !IsWord(token.tenant, "_-")) {
    return absl::InvalidArgumentError(
        absl::StrCat("tenant ", Quoted(token.tenant), " is not 1..64 of [A-Za-z0-9_-]"));
  }
  if (!IsWord(token.name, "._-")) {
    return absl::InvalidArgumentError(
        absl::StrCat("name ", Quoted(token.name), " is not 1..64 of [A-Za-z0-9._-]"));
  }
  return token;
}

}  // namespace

std::string ScopeNames(Scopes scopes) {
  std::vector<absl::string_view> names;
  for (const ScopeWord& scope : kScopeWords) {
    if ((scopes & scope.scope) != 0) names.push_back(scope.word);
  }
  return absl::StrJoin(names, " or ");
}

absl::StatusOr<std::vector<Token>> ParseTokens(absl::string_view text) {
  std::vector<Token> tokens;
  std::map<std::string, int64_t> lines;  // of digests and names
  int64_t number = 0;
  if (IsUtf16(text)) return absl::InvalidArgumentError("is UTF-16; save it as ASCII or UTF-8");
  for (absl::string_view line : absl::StrSplit(WithoutByteOrderMark(text), '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    const std::string where = absl::StrCat("line ", number, ": ");
    absl::StatusOr<Token> token = ParseLine(line);
    if (!token.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(where, token.status().message()));
    }
    const auto [digest, new_digest] = lines.emplace(token->sha256, number);
    if (!new_digest) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, "the token of line ", digest->second, " once more"));
    }
    const auto [name, new_name] =
        lines.emplace(token->name + " ", number);  // no digest has a blank
    if (!new_name) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, "name ", Quoted(token->name), " is that of line ", name->second));
    }
    tokens.push_back(*std::move(token));
    if (static_cast<int64_t>(tokens.size()) > kTokensMax) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, "more than ", kTokensMax, " tokens; that many are allowed"));
    }
  }
  if (tokens.empty()) return absl::InvalidArgumentError("there is no token in it");
  return tokens;
}

absl::StatusOr<std::unique_ptr<Tokens>> Tokens::Open(const std::string& path) {
  auto tokens = std::unique_ptr<Tokens>(new Tokens(path));
  tokens->file_.Changed();
  RETURN_IF_ERROR(tokens->Read());
  return tokens;
}

absl::Status Tokens::Read() {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file_.path(), kTokensFileBytesMax));
  absl::StatusOr<std::vector<Token>> tokens = ParseTokens(text);
  if (!tokens.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(file_.path(), ": ", tokens.status().message()));
  }
  auto table = std::make_shared<Table>();
  for (Token& token : *tokens) table->push_back(std::make_shared<const Token>(std::move(token)));
  absl::MutexLock lock(&mu_);
  table_ = std::move(table);
  return absl::OkStatus();
}

void Tokens::Reload() {
  if (!file_.Changed()) return;
  if (const absl::Status status = Read(); !status.ok()) {
    Log(LogLevel::kError, "tokens_refused", {{"error", std::string(status.message())}});
  } else {
    Log(LogLevel::kInfo, "tokens_loaded", {{"file", file_.path()}});
  }
}

std::shared_ptr<const Token> Tokens::Find(absl::string_view token) const {
  std::shared_ptr<const Table> table;
  {
    absl::MutexLock lock(&mu_);
    table = table_;
  }
  const std::string digest = Sha256Hex(token);
  std::shared_ptr<const Token> found;
  for (const auto& known : *table) {
    if (CRYPTO_memcmp(known->sha256.data(), digest.data(), digest.size()) == 0) found = known;
  }
  return found;
}

}  // namespace radiograph
