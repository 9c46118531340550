// Random numbers by counter: a number is a pure function of (seed, stream, index), the same on
// every device and in every order of evaluation. at::Generator is not: it differs by device and CPU
// capability.
#ifndef RADIOGRAPH_CORE_NUMERICS_RANDOM_H_
#define RADIOGRAPH_CORE_NUMERICS_RANDOM_H_

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

namespace radiograph {

// Philox4x32-10.
// Source: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3" (SC11),
// section 3.
std::array<uint32_t, 4> Philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// Independent numbers of one purpose. Give each purpose of a job a stream of its own.
struct RandomStream {
  uint64_t seed = 0;
  uint64_t stream = 0;
};

// All float64, on the CPU, row-major: element i of the flat tensor depends on the stream and i
// alone.
at::Tensor RandomUniform(RandomStream stream, at::IntArrayRef shape);  // [0, 1), 53 bits each
at::Tensor RandomNormal(RandomStream stream, at::IntArrayRef shape);   // N(0, 1), by Box and Muller

// Orthogonal matrix from the Haar measure, [size, size]: Q of the QR of a normal matrix, columns
// multiplied by the signs of R's diagonal. Source: Mezzadri 2007, "How to generate random matrices
// from the classical compact groups", section 5.
at::Tensor HaarOrthogonal(RandomStream stream, int64_t size);

}  // namespace radiograph

#endif  // RADIOGRAPH_CORE_NUMERICS_RANDOM_H_
