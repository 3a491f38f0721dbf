#include "hub/logs/session_record.h"

#include <algorithm>
#include <optional>

#include "base/ids.h"
#include "hub/logs/log_line.h"
#include "smtp/address.h"

namespace umbra::hub {
namespace {

/// Longer ones are cut.
constexpr std::size_t text_octets_max = 2000;
/// Of a session that has not named the address yet which somebody watches for.
constexpr std::size_t kept_octets_max = 16U << 10;
constexpr Duration stop_patience = std::chrono::seconds(1);

/// What stands between the angle brackets of MAIL or RCPT; nothing: it is another command.
std::optional<std::string_view> path_in(std::string_view line) {
  const bool is_mail = smtp::equals_ignoring_case(line.substr(0, 10), "MAIL FROM:");
  if (!is_mail && !smtp::equals_ignoring_case(line.substr(0, 8), "RCPT TO:")) return std::nullopt;
  const auto begin = line.find('<');
  const auto end = line.find('>', begin);
  if (begin == std::string_view::npos || end == std::string_view::npos) return std::nullopt;
  return line.substr(begin + 1, end - begin - 1);
}

std::string cut(std::string_view text) {
  return text.size() <= text_octets_max ? std::string(text)
                                        : std::string(text.substr(0, text_octets_max)) + "...";
}

std::string text_of(const Endpoint& endpoint) {
  return endpoint.host.empty() ? std::string() : to_string(endpoint);
}

}  // namespace

std::string session_id_text(std::uint64_t id) {
  return to_string(SpoolId{id});
}

// ---- one session

SessionRecord::SessionRecord(std::uint64_t id, SessionFacts facts, RecordLog* log)
    : id_(id),
      facts_(std::move(facts)),
      id_text_(session_id_text(id_)),
      local_text_(text_of(facts_.local)),
      remote_text_(text_of(facts_.remote)),
      log_(log) {}

void SessionRecord::connected(const SessionFacts& facts, std::string_view context) {
  facts_ = facts;
  local_text_ = text_of(facts_.local);
  remote_text_ = text_of(facts_.remote);
  write("+", {}, context);
}

void SessionRecord::heard(std::string_view line, std::string_view context) {
  if (facts_.direction == SessionDirection::in) look_for_address(line);
  write("<", line, context);
}

void SessionRecord::replies(std::string_view octets) {
  while (!octets.empty()) {
    const auto end = octets.find("\r\n");
    const auto line = octets.substr(0, end);
    octets.remove_prefix(end == std::string_view::npos ? octets.size() : end + 2);
    write(">", line.starts_with("334") ? "334 *" : line, {});
  }
}

void SessionRecord::said(std::string_view line, std::string_view context) {
  said_.push_back({std::string(line), std::string(context)});
}

void SessionRecord::sending() {
  end_said(said_.size());
}

void SessionRecord::sending_but_end() {
  const auto found = std::ranges::find(said_.rbegin(), said_.rend(), ".", &Said::line);
  end_said(found == said_.rend() ? said_.size() : static_cast<std::size_t>(said_.rend() - found) - 1);
}

void SessionRecord::end_said(std::size_t count) {
  for (; count > 0; --count) {
    const auto said = std::move(said_.front());
    said_.pop_front();
    look_for_address(said.line);
    write(">", said.line, said.context);
  }
}

void SessionRecord::withheld(std::string_view why) {
  said_.clear();
  write("*", {}, "the end of the message was withheld: " + std::string(why));
}

void SessionRecord::write(std::string_view event, std::string_view data, std::string_view context) {
  const auto now = WallClock::now();
  const std::string short_data = cut(data);
  const std::string short_context = cut(context);
  if (log_ != nullptr) {
    const std::string number = std::to_string(sequence_);
    log_->write(now, {facts_.connector, id_text_, number, local_text_, remote_text_, event, short_data,
                      short_context});
  }
  if (!followers_.empty()) show(now, event, short_data, short_context);
  ++sequence_;
}

std::string SessionRecord::to_json(WallTime time, std::string_view event, std::string_view data,
                                   std::string_view context) const {
  std::string json = "{\"time\":\"" + to_text(time) + "\",\"direction\":\"" +
                     (facts_.direction == SessionDirection::in ? "in" : "out") + "\"";
  const auto add = [&json](std::string_view name, std::string_view value) {
    json += ",\"";
    json += name;
    json += "\":";
    append_json_string(json, value);
  };
  add("connector", facts_.connector);
  add("session", id_text_);
  json += ",\"sequence\":" + std::to_string(sequence_);
  add("local", local_text_);
  add("remote", remote_text_);
  if (!facts_.host.empty()) add("host", facts_.host);
  add("event", event);
  add("data", data);
  add("context", context);
  json += "}\n";
  return json;
}

void SessionRecord::show(WallTime now, std::string_view event, std::string_view data,
                         std::string_view context) {
  std::string json;
  for (auto& follower : followers_) {
    if (follower.is_shown && follower.watcher->is_behind()) {
      follower.watcher->skip();
      continue;
    }
    if (json.empty()) json = to_json(now, event, data, context);
    if (follower.is_shown) {
      follower.watcher->push(json);
      continue;
    }
    follower.kept_octets += json.size();
    follower.kept.push_back(json);
    while (follower.kept_octets > kept_octets_max) {
      follower.kept_octets -= follower.kept.front().size();
      follower.kept.pop_front();
      ++follower.forgotten;
    }
  }
}

void SessionRecord::look_for_address(std::string_view line) {
  if (std::ranges::all_of(followers_, &Follower::is_shown)) return;
  const auto path = path_in(line);
  if (!path) return;
  for (auto& follower : followers_) {
    if (follower.is_shown || !follower.watcher->filter.names(*path)) continue;
    follower.is_shown = true;
    if (follower.forgotten != 0)
      follower.watcher->push("{\"session\":\"" + id_text_ +
                             "\",\"not_kept\":" + std::to_string(follower.forgotten) + "}\n");
    for (const auto& json : std::exchange(follower.kept, {})) follower.watcher->push(json);
    follower.kept_octets = 0;
  }
}

// ---- a session's place

void SessionTap::open() {
  if (records_ == nullptr) return;
  records_->sessions_.push_back(*this);
  records_->consider(*this);
}

void SessionTap::close(std::string_view why) {
  if (is_linked()) unlink();
  if (record_ != nullptr) {
    record_->disconnected(why);
    session_.record_to(nullptr);
    record_.reset();
  }
  id_ = 0;
}

std::uint64_t SessionTap::id() {
  if (id_ == 0 && records_ != nullptr) id_ = records_->new_id();
  return id_;
}

// ---- all of them

std::uint64_t SessionRecords::new_id() {
  std::uint64_t id = 0;
  while (id == 0) id = random_.next();
  return id;
}

SessionRecord& SessionRecords::record_of(SessionTap& tap, const SessionFacts& facts, RecordLog* log) {
  if (tap.record_ == nullptr) {
    tap.record_ = std::make_unique<SessionRecord>(tap.id(), facts, log);
    tap.session_.record_to(tap.record_.get());
  }
  return *tap.record_;
}

void SessionRecords::consider(SessionTap& tap) {
  if (tap.session_.is_logged()) {
    const auto facts = tap.session_.session_facts();
    auto* log = facts.direction == SessionDirection::in ? logs_.receive : logs_.send;
    if (log != nullptr && log->is_enabled()) record_of(tap, facts, log);
  }
  for (const auto& watcher : watchers_) follow(tap, watcher, false);
}

void SessionRecords::follow(SessionTap& tap, const std::shared_ptr<Watcher>& watcher, bool is_under_way) {
  const auto facts = tap.session_.session_facts();
  if (!watcher->filter.wants(facts)) return;
  auto& record = record_of(tap, facts, nullptr);
  record.followers_.push_back({watcher, watcher->filter.address.empty(), {}, 0, 0});
  if (is_under_way && record.sequence_ == 0) record.note("under way already when somebody began to watch");
}

std::shared_ptr<Watcher> SessionRecords::watch(WatchFilter filter) {
  if (is_stopping_ || watchers_.size() >= watchers_max) return nullptr;
  auto watcher = std::make_shared<Watcher>(io_, std::move(filter));
  watchers_.push_back(watcher);
  for (auto& tap : sessions_) follow(tap, watcher, true);
  return watcher;
}

void SessionRecords::unwatch(const std::shared_ptr<Watcher>& watcher) {
  watcher->abandon();
  std::erase(watchers_, watcher);
  for (auto& tap : sessions_) {
    if (tap.record_ == nullptr) continue;
    auto& record = *tap.record_;
    std::erase_if(record.followers_, [&](const auto& follower) { return follower.watcher == watcher; });
    if (!record.followers_.empty() || record.log_ != nullptr) continue;
    tap.session_.record_to(nullptr);
    tap.record_.reset();
  }
}

Task<void> SessionRecords::stop() {
  is_stopping_ = true;
  for (const auto& watcher : watchers_) watcher->end("the hub is stopping");
  Timer patience(io_);
  const auto until = MonotonicClock::now() + stop_patience;
  while (!watchers_.empty() && MonotonicClock::now() < until)
    co_await patience.wait_for(std::chrono::milliseconds(10));
}

namespace {

class TurnedAway final : public RecordedSession {
 public:
  explicit TurnedAway(const SessionFacts& facts) : facts_(facts) {}
  SessionFacts session_facts() const override { return facts_; }
  bool is_logged() const override { return facts_.is_logged; }
  void record_to(SessionRecord*) override {}

 private:
  const SessionFacts& facts_;
};

}  // namespace

void record_turned_away(SessionRecords* records, const SessionFacts& facts, std::string_view why) {
  if (records == nullptr) return;
  TurnedAway session(facts);
  SessionTap tap(records, session);
  tap.open();
  if (auto* record = tap.record()) record->connected(facts);
  tap.close(why);
}

}  // namespace umbra::hub
