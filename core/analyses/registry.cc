#include "core/analyses/analysis.h"
#include "core/analyses/bilinear/spectrum.h"
#include "core/analyses/bilinear/spectrum_spec.h"
#include "core/catalog/spec_builder.h"

namespace radiograph {

const std::vector<Analysis>& Registry() {
  static const auto& analyses = *new std::vector<Analysis>{
      Analysis(bilinear::SpectrumSpec(), &bilinear::Spectrum),
  };
  return analyses;
}

}  // namespace radiograph
