#include "core/numerics/random.h"

#include <cmath>
#include <numbers>
#include <tuple>

namespace radiograph {
namespace {

std::array<uint32_t, 4> Round(const std::array<uint32_t, 4>& c,
                              const std::array<uint32_t, 2>& key) {
  const uint64_t first = uint64_t{0xD2511F53} * c[0];
  const uint64_t second = uint64_t{0xCD9E8D57} * c[2];
  return {static_cast<uint32_t>(second >> 32) ^ c[1] ^ key[0], static_cast<uint32_t>(second),
          static_cast<uint32_t>(first >> 32) ^ c[3] ^ key[1], static_cast<uint32_t>(first)};
}

// Two uniform numbers in [0, 1) from one block, 53 bits each.
std::array<double, 2> UniformPair(RandomStream stream, uint64_t block) {
  const auto words =
      Philox({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
              static_cast<uint32_t>(stream.stream), static_cast<uint32_t>(stream.stream >> 32)},
             {static_cast<uint32_t>(stream.seed), static_cast<uint32_t>(stream.seed >> 32)});
  auto uniform = [](uint32_t high, uint32_t low) {
    return std::ldexp(static_cast<double>(((uint64_t{high} << 32) | low) >> 11), -53);
  };
  return {uniform(words[1], words[0]), uniform(words[3], words[2])};
}

std::array<double, 2> NormalPair(RandomStream stream, uint64_t block) {
  const auto [u, v] = UniformPair(stream, block);
  const double radius = std::sqrt(-2 * std::log1p(-u));  // 1 - u is in (0, 1]
  const double angle = 2 * std::numbers::pi * v;
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

at::Tensor Fill(RandomStream stream, at::IntArrayRef shape,
                std::array<double, 2> (*pair)(RandomStream, uint64_t)) {
  at::Tensor tensor = at::empty(shape, at::kDouble);
  double* values = tensor.mutable_data_ptr<double>();
  for (int64_t i = 0; i < tensor.numel(); i += 2) {
    const auto both = pair(stream, i / 2);
    values[i] = both[0];
    if (i + 1 < tensor.numel()) values[i + 1] = both[1];
  }
  return tensor;
}

}  // namespace

std::array<uint32_t, 4> Philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    counter = Round(counter, key);
    key[0] += 0x9E3779B9;  // the golden ratio
    key[1] += 0xBB67AE85;  // sqrt(3) - 1
  }
  return counter;
}

at::Tensor RandomUniform(RandomStream stream, at::IntArrayRef shape) {
  return Fill(stream, shape, &UniformPair);
}

at::Tensor RandomNormal(RandomStream stream, at::IntArrayRef shape) {
  return Fill(stream, shape, &NormalPair);
}

at::Tensor HaarOrthogonal(RandomStream stream, int64_t size) {
  const auto [q, r] = at::linalg_qr(RandomNormal(stream, {size, size}));
  const at::Tensor diagonal = r.diagonal();
  return q * at::where(diagonal < 0, -at::ones_like(diagonal), at::ones_like(diagonal));
}

}  // namespace radiograph
