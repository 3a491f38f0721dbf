// Reads every two seconds what the hub may run short of, from the machine and from the spool, for
// BackPressure. Owned by the hub; home thread.
#pragma once

#include <functional>

#include "hub/net/runtime.h"
#include "hub/pressure/back_pressure.h"
#include "hub/pressure/probe.h"
#include "storage/spool.h"

namespace umbra::hub {

class PressureWatch {
 public:
  static constexpr Duration interval = std::chrono::seconds(2);

  /// The references must outlive it. Without a probe nothing is looked at.
  PressureWatch(Runtime runtime, storage::Spool& spool, PressureProbe* probe, BackPressure& pressure);

  /// Told each time the level has changed.
  void on_level(std::function<void(PressureLevel)> callback) { on_level_ = std::move(callback); }
  void start();
  Task<void> stop();

 private:
  Task<void> watch();
  Task<Reading> read();

  Runtime runtime_;
  storage::Spool& spool_;
  PressureProbe* probe_;
  BackPressure& pressure_;
  TaskScope tasks_;
  Timer wake_;
  std::function<void(PressureLevel)> on_level_ = [](PressureLevel) {};
  bool is_stopping_ = false;
};

}  // namespace umbra::hub
