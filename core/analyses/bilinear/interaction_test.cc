#include "core/analyses/bilinear/interaction.h"

#include "core/analyses/bilinear/coordinates.h"
#include "core/numerics/random.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tensors.h"

namespace radiograph::bilinear {
namespace {

using ::radiograph::testing::Distance;
using ::radiograph::testing::Matrix;
using ::radiograph::testing::Vector;

// Hand case H1 of the method.
BilinearLayer H1() {
  return {.left = Matrix({{1, 2}, {0, 1}, {1, -1}}),
          .right = Matrix({{0, 1}, {1, 1}, {2, 0}}),
          .left_bias = {},
          .right_bias = {},
          .embed = {},
          .directions = Matrix({{1, 0, 0}, {1, -1, 2}}),
          .constant = at::zeros({2}, at::kDouble),
          .skip = {}};
}

// A random layer with everything: d = 7, m = 5, n = 9, C = 4.
BilinearLayer RandomLayer() {
  auto normal = [stream = uint64_t{0}](at::IntArrayRef shape) mutable {
    return RandomNormal({.seed = 11, .stream = stream++}, shape);
  };
  return {.left = normal({5, 7}),
          .right = normal({5, 7}),
          .left_bias = normal({5}),
          .right_bias = normal({5}),
          .embed = normal({7, 9}),
          .directions = normal({4, 5}),
          .constant = normal({4}),
          .skip = {}};
}

TEST(Interaction, HandCase) {
  const BilinearLayer layer = H1();
  const at::Tensor q = Interaction(layer.directions, layer.left, layer.right);
  EXPECT_TRUE(at::equal(q[0], Matrix({{0, 0.5}, {0.5, 2}})));
  EXPECT_TRUE(at::equal(q[1], Matrix({{4, -2}, {-2, 1}})));
}

TEST(Interaction, EqualsThePlainSum) {
  const BilinearLayer layer = RandomLayer();
  at::Tensor plain = at::einsum("om,mi,mj->oij", {layer.directions, layer.left, layer.right});
  plain = (plain + plain.mT()) / 2;
  EXPECT_LT(Distance(Interaction(layer.directions, layer.left, layer.right), plain), 1e-13);
}

TEST(Interaction, ProductsAndNormsWithoutIt) {
  const BilinearLayer layer = RandomLayer();
  const at::Tensor q = Interaction(layer.directions, layer.left, layer.right);
  const at::Tensor x = RandomNormal({.seed = 16}, {4, 7, 3});
  const at::Tensor products = InteractionTimes(layer.directions, layer.left, layer.right, x);
  EXPECT_LT(Distance(products, at::matmul(q, x)), 1e-13);
  const at::Tensor squares = InteractionSquares(layer.directions, layer.left, layer.right);
  EXPECT_LT(Distance(squares, q.square().sum({1, 2})), 1e-11);  // they are about 100
}

TEST(Interaction, OneOutputAtATimeGivesTheSame) {
  const BilinearLayer layer = RandomLayer();
  const at::Tensor all = Interaction(layer.directions, layer.left, layer.right);
  for (int64_t c = 0; c < 4; ++c) {
    const at::Tensor one = Interaction(layer.directions.narrow(0, c, 1), layer.left, layer.right);
    EXPECT_LT(Distance(one[0], all[c]), 1e-14);
  }
}

TEST(Outputs, HandCase) {
  EXPECT_TRUE(at::equal(Outputs(H1(), Matrix({{1, 2}})), Matrix({{10, 0}})));
}

// Hand case H3: (z + 2)(z + 3) = z^2 + 5 z + 6.
TEST(Biases, HandCase) {
  const BilinearLayer layer{.left = Matrix({{1}}),
                            .right = Matrix({{1}}),
                            .left_bias = Vector({2}),
                            .right_bias = Vector({3}),
                            .embed = {},
                            .directions = Matrix({{1}}),
                            .constant = Vector({0}),
                            .skip = {}};
  EXPECT_TRUE(at::equal(Interaction(layer.directions, layer.left, layer.right),
                        at::ones({1, 1, 1}, at::kDouble)));
  EXPECT_TRUE(at::equal(LinearPart(layer), Matrix({{5}})));
  EXPECT_TRUE(at::equal(ConstantPart(layer), Vector({6})));
  EXPECT_TRUE(at::equal(Outputs(layer, Matrix({{1}, {-2}})), Matrix({{12}, {0}})));
}

// A residual block of one neuron: y = 2 (z + (z + 2)(z + 3)) = 2 z^2 + 12 z + 12.
TEST(Residual, HandCase) {
  const BilinearLayer layer{.left = Matrix({{1}}),
                            .right = Matrix({{1}}),
                            .left_bias = Vector({2}),
                            .right_bias = Vector({3}),
                            .embed = {},
                            .directions = Matrix({{2}}),
                            .constant = Vector({0}),
                            .skip = Matrix({{2}})};
  EXPECT_TRUE(layer.has_linear_part());
  EXPECT_TRUE(at::equal(LinearPart(layer), Matrix({{12}})));
  EXPECT_TRUE(at::equal(ConstantPart(layer), Vector({12})));
  EXPECT_TRUE(at::equal(Outputs(layer, Matrix({{1}, {-2}})), Matrix({{26}, {-4}})));
}

TEST(Biases, QuadraticLinearAndConstantPartsAddUpToTheOutput) {
  BilinearLayer layer = RandomLayer();
  layer.skip = RandomNormal({.seed = 13}, {4, 7});
  const at::Tensor x = RandomNormal({.seed = 12}, {6, 9});
  const at::Tensor z = Embed(layer, x);
  const at::Tensor q = Interaction(layer.directions, layer.left, layer.right);
  const at::Tensor quadratic = at::einsum("ni,cij,nj->nc", {z, q, z});
  const at::Tensor sum = quadratic + at::matmul(z, LinearPart(layer).t()) + ConstantPart(layer);
  EXPECT_LT(Distance(sum, Outputs(layer, x)), 1e-11);  // outputs are about 100
}

// In every space y^T M y is the quadratic part of the output.
TEST(Coordinates, KeepTheQuadraticForm) {
  const BilinearLayer layer = RandomLayer();
  const at::Tensor x = RandomNormal({.seed = 13}, {50, 9});
  const at::Tensor z = Embed(layer, x);
  const at::Tensor q = Interaction(layer.directions, layer.left, layer.right);
  const at::Tensor expected = at::einsum("ni,cij,nj->nc", {z, q, z});
  const at::Tensor moment = at::matmul(x.t(), x) / 50;
  for (const Coordinates& coordinates :
       {EmbedCoordinates(layer), InputCoordinates(layer), DataCoordinates(layer, moment)}) {
    const at::Tensor m =
        Interaction(layer.directions, coordinates.Fold(layer.left), coordinates.Fold(layer.right));
    const at::Tensor y = coordinates.Project(x);
    EXPECT_LT(Distance(at::einsum("ni,cij,nj->nc", {y, m, y}), expected),
              1e-8);  // outputs are about 100
  }
}

TEST(Coordinates, InputIsTheRowSpaceOfTheEmbedding) {
  const Coordinates coordinates = InputCoordinates(RandomLayer());
  const at::Tensor gram = at::matmul(coordinates.pictures.t(), coordinates.pictures);
  EXPECT_LT(Distance(gram, at::eye(7, at::kDouble)), 1e-13);
}

TEST(Coordinates, InDataSpaceProjectedSamplesAreWhite) {
  BilinearLayer layer = RandomLayer();
  layer.embed.reset();  // n = d: the whole input space
  const at::Tensor x =
      at::matmul(RandomNormal({.seed = 14}, {100, 7}), RandomNormal({.seed = 15}, {7, 7}));
  const at::Tensor moment = at::matmul(x.t(), x) / 100;
  const at::Tensor y = DataCoordinates(layer, moment).Project(x);
  EXPECT_LT(Distance(at::matmul(y.t(), y) / 100, at::eye(7, at::kDouble)),
            1e-5);  // the ridge is 1e-9 of S
}

}  // namespace
}  // namespace radiograph::bilinear
