#include "model/model.h"

#include "model/dlrm_model.h"
#include "model/sum_model.h"

namespace capstan {

StatusOr<std::unique_ptr<Model>> NewModel(const ModelSpec& spec) {
  RETURN_IF_ERROR(CheckModelSpec(spec));
  if (spec.kind == ModelKind::kDlrm) return std::unique_ptr<Model>(new DlrmModel(spec));
  const FeatureTables tables(spec);
  if (HasDeep(spec.kind)) {
    if (spec.pooled_first_layer && (tables.embedding_count() != 1 || DenseWidth(spec.input) > 0)) {
      return Error(
          "model {}: a pooled first layer wants one categorical feature and no floats, found {} "
          "and {} floats",
          NameOf(spec.kind), tables.embedding_count(), DenseWidth(spec.input));
    }
    if (tables.embedding_width() + DenseWidth(spec.input) == 0) {
      return Error("model {}: no feature is deep", NameOf(spec.kind));
    }
  }
  return std::unique_ptr<Model>(new SumModel(spec));
}

}  // namespace capstan
