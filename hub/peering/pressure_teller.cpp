#include "hub/peering/pressure_teller.h"

#include "smtp/shadow_capabilities.h"

namespace umbra::hub {
namespace {

constexpr Duration tell_timeout = 5s;

}  // namespace

PressureTeller::PressureTeller(Runtime runtime, Members& members)
    : announcement_(
          runtime, members,
          {.keyword = smtp::level_capability,
           .task_name = "tell the pressure",
           .timeout = tell_timeout,
           .command = [this] { return has_been_short_ ? smtp::format_level(level_) : std::string(); }}) {}

void PressureTeller::set(PressureLevel level) {
  if (level == level_) return;
  level_ = level;
  has_been_short_ = true;
  announcement_.changed();
}

}  // namespace umbra::hub
