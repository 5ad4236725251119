#include "params/row_layout.h"

namespace capstan {

RowLayout::RowLayout(const std::vector<RowPart>& parts) : parts_(parts) {
  int floats = kHeaderBytes / static_cast<int>(sizeof(float));
  for (const RowPart& part : parts_) {
    weights_offset_.push_back(floats);
    floats += part.dim;
    std::vector<int>& slots = slot_offset_.emplace_back();
    for (int slot = 0; slot < SlotCount(part.optimizer.kind); ++slot) {
      slots.push_back(floats);
      floats += IsRowWise(part.optimizer.kind) ? 1 : part.dim;
    }
    gradient_offset_.push_back(gradient_dim_);
    gradient_dim_ += part.dim;
  }
  row_bytes_ = (floats * static_cast<int>(sizeof(float)) + 31) / 32 * 32;
}

}  // namespace capstan
