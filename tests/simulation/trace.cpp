#include "tests/simulation/trace.h"

#include <cstdio>

namespace umbra::simulation {

void Trace::add() {
  for (char c : text_) mix(static_cast<unsigned char>(c));
  ++lines_;
  if (print_) std::printf("%s\n", text_.c_str());
  if (keep_ == 0) return;
  if (last_.size() < keep_) {
    last_.push_back(text_);
    return;
  }
  auto recycled = std::move(last_.front());
  last_.pop_front();
  recycled.assign(text_);
  last_.push_back(std::move(recycled));
}

}  // namespace umbra::simulation
