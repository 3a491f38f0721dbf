#include "hub/logs/session_watch.h"

#include "hub/logs/log_line.h"
#include "smtp/address.h"

namespace umbra::hub {

bool WatchFilter::wants(const SessionFacts& session) const {
  const bool is_in = session.direction == SessionDirection::in;
  // Who asks for clients only, or for next hops only, asks for one direction.
  const bool asks_in = client || !listener.empty();
  const bool asks_out = !next_hop.empty();
  if (direction ? *direction != session.direction : asks_in != asks_out && asks_in != is_in) return false;
  if (is_in) {
    if (client && !client->contains(session.remote.host)) return false;
    return listener.empty() || listener == session.connector;
  }
  return next_hop.empty() || smtp::equals_ignoring_case(next_hop, session.host) ||
         next_hop == session.remote.host || next_hop == to_string(session.remote) ||
         next_hop == session.connector;
}

bool WatchFilter::names(std::string_view path) const {
  if (address.empty()) return true;
  if (address == "<>") return path.empty();
  if (address.starts_with('@'))
    return path.size() > address.size() &&
           smtp::equals_ignoring_case(path.substr(path.size() - address.size()), address);
  return smtp::equals_ignoring_case(path, address);
}

void Watcher::push(std::string_view line) {
  if (is_ended_) return;
  if (dropped_ != 0 || queue_.size() + line.size() > queue_octets_max) {
    // Also what would fit: lines are missing in one place, not here and there.
    ++dropped_;
    return;
  }
  queue_ += line;
  more_.set();
}

void Watcher::end(std::string_view why) {
  if (is_ended_) return;
  is_ended_ = true;
  limit_.cancel();
  if (dropped_ != 0) queue_ += "{\"dropped\":" + std::to_string(std::exchange(dropped_, 0)) + "}\n";
  queue_ += "{\"end\":";
  append_json_string(queue_, why);
  queue_ += "}\n";
  more_.set();
}

void Watcher::end_after(Duration span) {
  limit_.call_at(MonotonicClock::now() + span, [weak = weak_from_this()](bool came) {
    if (auto self = weak.lock(); self && came) self->end("the time is over");
  });
}

void Watcher::abandon() {
  is_ended_ = true;
  limit_.cancel();
  queue_.clear();
  dropped_ = 0;
  more_.set();
}

Task<std::string> Watcher::next() {
  while (queue_.empty() && !is_ended_) co_await more_.wait();
  auto taken = std::exchange(queue_, {});
  if (dropped_ != 0) taken += "{\"dropped\":" + std::to_string(std::exchange(dropped_, 0)) + "}\n";
  co_return taken;
}

}  // namespace umbra::hub
