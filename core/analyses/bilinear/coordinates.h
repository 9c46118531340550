// The coordinates in which a layer's quadratic forms are decomposed.
//
// In each of them the matrix of output c is M_c = G Q_c G^T = Interaction(A, L G^T, R G^T), so that
// the change of basis is paid once, not once an output; an eigenvector w of M_c is the vector v = T
// w over the raw input x, and its pair adds lambda (v . x)^2 to the logit: with y = T^T x, x^T E^T
// Q_c E x = y^T M_c y.
//   embed  G = I, T = E^T. As published; the spectrum depends on the arbitrary basis of the
//   embedding. input  E^T = Q_e R_e (thin QR), G = R_e, T = Q_e: the nonzero spectrum of E^T Q_c E,
//   vectors orthonormal
//          in R^n. Depends on the function alone.
//   data   with S = X^T X / N + 1e-9 tr(S) / n I and S^1/2 E^T = Q_f R_f: G = R_f, T = S^-1/2 Q_f.
//   For centred
//          normal x the variance of y_c is 2 sum lambda^2, so that order by |lambda| is order by
//          importance.
#ifndef RADIOGRAPH_CORE_ANALYSES_BILINEAR_COORDINATES_H_
#define RADIOGRAPH_CORE_ANALYSES_BILINEAR_COORDINATES_H_

#include <ATen/core/Tensor.h>

#include "core/analyses/bilinear/interaction.h"

namespace radiograph::bilinear {

struct Coordinates {
  at::Tensor fold;      // G [r, d]; undefined: the identity
  at::Tensor pictures;  // T [n, r]; undefined: the identity

  // side G^T [m, r] of L or R [m, d].
  at::Tensor Fold(const at::Tensor& side) const;
  // v = T w: rows [..., k, n] of columns w [..., r, k].
  at::Tensor Pictures(const at::Tensor& columns) const;
  // y = T^T x [N, r] of x [N, n].
  at::Tensor Project(const at::Tensor& x) const;
};

Coordinates EmbedCoordinates(const BilinearLayer& layer);
Coordinates InputCoordinates(const BilinearLayer& layer);
// `second_moment` is X^T X / N [n, n], float64 as the layer must be.
Coordinates DataCoordinates(const BilinearLayer& layer, const at::Tensor& second_moment);

}  // namespace radiograph::bilinear

#endif  // RADIOGRAPH_CORE_ANALYSES_BILINEAR_COORDINATES_H_
