#include "hub/pressure/pressure_watch.h"

#include "hub/spool_tasks.h"

namespace umbra::hub {

PressureWatch::PressureWatch(Runtime runtime, storage::Spool& spool, PressureProbe* probe,
                             BackPressure& pressure)
    : runtime_(runtime),
      spool_(spool),
      probe_(probe),
      pressure_(pressure),
      tasks_(runtime.io),
      wake_(runtime.io) {}

void PressureWatch::start() {
  if (probe_ != nullptr) tasks_.spawn("pressure", watch());
}

Task<void> PressureWatch::stop() {
  is_stopping_ = true;
  wake_.cancel();
  co_await tasks_.join();
}

Task<void> PressureWatch::watch() {
  while (!is_stopping_) {
    const auto before = pressure_.state().level;
    pressure_.take(co_await read());
    if (pressure_.state().level != before) on_level_(pressure_.state().level);
    if (!is_stopping_) co_await wake_.wait_for(interval);
  }
}

Task<Reading> PressureWatch::read() {
  auto reading = probe_->read();
  auto statistics = spool_.statistics();
  reading[Resource::wal] = static_cast<double>(statistics.wal_octets);
  reading[Resource::waiting_writes] = static_cast<double>(statistics.waiting_operations);
  reading[Resource::commit_latency] =
      std::chrono::duration<double, std::milli>(statistics.last_commit).count();
  if (pressure_.watches_queue()) {
    auto counts = co_await query<storage::QueueCounts>(runtime_.io, spool_,
                                                       [](storage::Reader& r) { return r.counts(); });
    if (counts) reading[Resource::queue] = static_cast<double>(counts->messages);
  }
  co_return reading;
}

}  // namespace umbra::hub
