#include "hub/filter/content_filter.h"

#include <algorithm>
#include <utility>

#include "hub/config/units.h"
#include "smtp/address.h"

namespace umbra::hub {
namespace {

using milter::Conversation;
using milter::Edit;
using Verdict = Conversation::Verdict;

constexpr std::size_t read_octets = 16U << 10;
constexpr std::size_t output_octets = 64U << 10;
constexpr Duration idle_max = 1min;

constexpr std::uint32_t changes_offered =
    milter::action_add_header | milter::action_change_body | milter::action_add_recipient |
    milter::action_delete_recipient | milter::action_change_header | milter::action_change_sender |
    milter::action_add_recipient_with_parameters | milter::action_quarantine;

bool has_8bit(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) > 0x7f; });
}

}  // namespace

ContentFilter::ContentFilter(Runtime runtime, const ContentFilterConfig& config, std::string host_name,
                             storage::Spool& spool, EventLog& log, Metrics& metrics)
    : runtime_(runtime),
      config_(config),
      host_name_(std::move(host_name)),
      spool_(spool),
      log_(log),
      metrics_(metrics),
      idle_timer_(runtime.io) {}

ContentFilter::~ContentFilter() {
  UMBRA_ASSERT(active_ == 0 && waiting_.empty());
}

void ContentFilter::stop() {
  is_stopping_ = true;
  for (auto* stream : streams_) stream->close();
  for (auto* waiter : waiting_) waiter->event.set();
  idle_.clear();
  idle_timer_.cancel();
}

Task<FilterResult> ContentFilter::apply(FilteredMessage& message) {
  using Kind = FilterResult::Kind;
  if (is_stopping_) co_return FilterResult{.kind = Kind::stopping};
  ++metrics_.content_filter_messages_total;
  if (!breaker_.ask(MonotonicClock::now())) co_return FilterResult{.kind = Kind::down, .why = last_failure_};
  if (!co_await enter()) {
    breaker_.given_up();
    co_return FilterResult{.kind = is_stopping_ ? Kind::stopping : Kind::busy};
  }
  const auto began = MonotonicClock::now();
  auto result = co_await filter(message);
  leave();
  metrics_.content_filter_seconds.observe(MonotonicClock::now() - began);
  co_return result;
}

/// A place among connections_max. False: none came free in time.
Task<bool> ContentFilter::enter() {
  if (active_ < config_.connections_max) {
    ++active_;
    co_return true;
  }
  Waiter waiter(runtime_.io);
  waiting_.push_back(&waiter);
  Timer timer(runtime_.io);
  timer.call_at(MonotonicClock::now() + config_.command_timeout, [&waiter](bool came) {
    if (came) waiter.event.set();
  });
  co_await waiter.event.wait();
  std::erase(waiting_, &waiter);
  // Whoever left has given its place on.
  if (waiter.is_admitted && is_stopping_) leave();
  co_return waiter.is_admitted && !is_stopping_;
}

void ContentFilter::leave() {
  if (waiting_.empty()) {
    --active_;
    return;
  }
  auto* next = waiting_.front();
  waiting_.pop_front();
  next->is_admitted = true;
  next->event.set();
}

Task<FilterResult> ContentFilter::filter(FilteredMessage& message) {
  using Kind = FilterResult::Kind;
  const auto until = MonotonicClock::now() + config_.message_timeout;
  auto attempt = co_await this->attempt(message, until);
  if (attempt.may_try_again && !is_stopping_) {
    // The others that were kept are as old: the filter was started anew.
    if (attempt.new_body) co_await attempt.new_body->drop();
    idle_.clear();
    attempt = co_await this->attempt(message, until);
  }
  FilterResult result;
  if (attempt.storage) {
    breaker_.given_up();
    result = {.kind = Kind::storage_failed, .why = attempt.storage->what};
    result.reply = attempt.storage->code == std::errc::no_space_on_device
                       ? smtp::Reply{452, "4.3.1", "Insufficient system storage"}
                       : smtp::Reply{451, "4.3.0", "The message could not be stored; try again later"};
  } else if (is_stopping_ && attempt.outcome.verdict == Verdict::failed) {
    breaker_.given_up();
    result.kind = Kind::stopping;
  } else if (attempt.outcome.verdict == Verdict::failed) {
    note_failure(attempt.outcome.problem);
    result = {.kind = Kind::down, .why = attempt.outcome.problem};
  } else {
    note_success();
    switch (attempt.outcome.verdict) {
      case Verdict::refuse:
        result = {.kind = Kind::refused, .reply = std::move(attempt.outcome.reply)};
        break;
      case Verdict::discard:
        result.kind = Kind::discarded;
        break;
      default:
        result = apply_changes(message, attempt);
        break;
    }
  }
  if (attempt.new_body) co_await attempt.new_body->drop();
  co_return result;
}

Task<ContentFilter::Attempt> ContentFilter::attempt(FilteredMessage& message, MonotonicTime until) {
  Attempt attempt;
  const auto client =
      message.listener + " " + message.envelope.client_address + " " + message.envelope.client_helo;
  auto connection = take_idle(client);
  if (connection == nullptr) {
    while (!idle_.empty() && active_ + idle_.size() > config_.connections_max) idle_.pop_front();
    connection = std::make_unique<Connection>();
    connection->client = client;
    auto problem = co_await connect(*connection, until);
    if (!problem.empty()) {
      attempt.outcome = {.verdict = Verdict::failed, .problem = std::move(problem)};
      co_return attempt;
    }
  }
  // stop() closes what stands in the list.
  const auto place = streams_.insert(streams_.end(), connection->stream.get());
  co_await converse(*connection, message, until, attempt);
  streams_.erase(place);
  const bool is_well = attempt.outcome.verdict != Verdict::failed && !attempt.storage;
  if (is_well && connection->channel.is_reusable() && !is_stopping_)
    keep(std::move(connection));
  else
    connection->stream->close();
  co_return attempt;
}

Task<std::string> ContentFilter::connect(Connection& connection, MonotonicTime until) {
  until = std::min(until, MonotonicClock::now() + config_.connect_timeout);
  Result<std::unique_ptr<Stream>> stream =
      failure(std::errc::host_unreachable, "no address of " + config_.address);
  if (config_.address.starts_with('/')) {
    stream = co_await runtime_.network.connect_local(config_.address, until);
  } else {
    const auto endpoint = parse_endpoint(config_.address).value_or(Endpoint{});
    auto addresses = co_await runtime_.resolver.addresses(endpoint.host);
    if (!addresses) co_return addresses.error().what;
    for (const auto& address : *addresses) {
      stream = co_await runtime_.network.connect({address, endpoint.port}, until);
      if (stream || is_stopping_) break;
    }
  }
  if (!stream) co_return stream.error().what + ": " + stream.error().code.message();
  connection.stream = std::move(*stream);
  if (is_stopping_) connection.stream->close();
  co_return std::string{};
}

Task<void> ContentFilter::converse(Connection& connection, FilteredMessage& message, MonotonicTime until,
                                   Attempt& attempt) {
  milter::Facts facts{.host_name = host_name_,
                      .listener = message.listener,
                      .client_address = message.envelope.client_address,
                      .client_name = message.envelope.client_address.empty()
                                         ? "localhost"
                                         : "[" + message.envelope.client_address + "]",
                      .id = to_string(message.id),
                      .octets = message.header.octets() + message.separator.size() + message.body->octets(),
                      .envelope = message.envelope,
                      .header = message.header};
  Conversation talk(connection.channel, std::move(facts), changes_offered);
  Watchdog watchdog(runtime_.io, *connection.stream);
  message.body->rewind();
  auto problem = co_await move_octets(connection, message, until, talk, watchdog, attempt);
  const bool was_new = std::exchange(connection.is_new, false);
  attempt.has_leading_space = talk.has_leading_space();
  if (problem.empty()) {
    attempt.outcome = std::move(talk.outcome());
    if (attempt.outcome.verdict == Verdict::failed)
      attempt.outcome.problem = std::string(talk.stage_name()) + ": " + attempt.outcome.problem;
    co_return;
  }
  if (watchdog.fired()) problem = "no answer in time";
  attempt.may_try_again = !was_new && !watchdog.fired();
  attempt.outcome = {.verdict = Verdict::failed, .problem = std::string(talk.stage_name()) + ": " + problem};
}

/// Until the conversation is over; what was in the way, else nothing.
Task<std::string> ContentFilter::move_octets(Connection& connection, FilteredMessage& message,
                                             MonotonicTime until, Conversation& talk, Watchdog& watchdog,
                                             Attempt& attempt) {
  auto& stream = *connection.stream;
  std::string piece;  // of the body, read and not said yet
  std::size_t said = 0;
  LineEnds line_ends;
  std::string in(read_octets, '\0');
  auto stage = talk.stage();
  watchdog.expires_at(std::min(until, MonotonicClock::now() + time_for(stage)));
  while (true) {
    const auto want = talk.next();
    if (want == Conversation::Want::over && talk.outcome().verdict == Verdict::failed)
      co_return std::string{};
    if (!talk.output().empty() && (want == Conversation::Want::input || want == Conversation::Want::over ||
                                   talk.output().size() >= output_octets)) {
      watchdog.expires_at(std::min(until, MonotonicClock::now() + time_for(talk.stage())));
      const auto error = co_await stream.write(talk.output());
      talk.output().clear();
      if (error && want != Conversation::Want::over) co_return error.message();
    }
    switch (want) {
      case Conversation::Want::over:
        if (attempt.new_body) co_await attempt.new_body->append(line_ends.end());
        if (attempt.new_body && attempt.new_body->failed()) attempt.storage = attempt.new_body->failed();
        co_return std::string{};
      case Conversation::Want::body: {
        if (said == piece.size()) {
          auto next = co_await message.body->read();
          if (!next) {
            attempt.storage = next.error();
            co_return next.error().what;
          }
          piece = std::move(*next);
          said = 0;
        }
        const auto part = std::string_view(piece).substr(said, milter::data_octets_max);
        talk.body(part);
        said += part.size();
        break;
      }
      case Conversation::Want::replacement: {
        if (!attempt.new_body) attempt.new_body = std::make_unique<MessageBuffer>(runtime_.io, spool_);
        const auto octets = line_ends.normalize(talk.take_replacement());
        message.has_new_8bit = message.has_new_8bit || has_8bit(octets);
        co_await attempt.new_body->append(octets);
        if (attempt.new_body->failed()) {
          attempt.storage = attempt.new_body->failed();
          co_return attempt.storage->what;
        }
        if (attempt.new_body->octets() > message.octets_max)
          co_return std::string("a new body larger than the listener takes");
        break;
      }
      case Conversation::Want::input: {
        // Each "wait longer" gives the whole time again, within that for the message.
        watchdog.expires_at(std::min(until, MonotonicClock::now() + time_for(talk.stage())));
        const auto got = co_await stream.read_some(asio::buffer(in));
        if (got.error)
          co_return got.error == asio::error::eof ? std::string("it closed the connection")
                                                  : got.error.message();
        talk.feed(std::string_view(in).substr(0, got.octets));
        break;
      }
    }
  }
}

Duration ContentFilter::time_for(Conversation::Stage stage) const {
  switch (stage) {
    case Conversation::Stage::negotiation:
    case Conversation::Stage::command:
      return config_.command_timeout;
    case Conversation::Stage::content:
      return config_.content_timeout;
    case Conversation::Stage::end:
      break;
  }
  return config_.end_of_message_timeout;
}

/// In the order in which they came. Nothing is changed when one of them would make a message that may not be.
FilterResult ContentFilter::apply_changes(FilteredMessage& message, Attempt& attempt) {
  FilterResult result;
  for (auto& edit : attempt.outcome.edits) {
    auto& recipients = message.envelope.recipients;
    const auto same = [&](const Recipient& other) { return other.address == edit.recipient.address; };
    switch (edit.kind) {
      case Edit::Kind::add_header:
        message.header.add(edit.name, edit.value, attempt.has_leading_space);
        break;
      case Edit::Kind::insert_header:
        message.header.insert(edit.index, edit.name, edit.value, attempt.has_leading_space);
        break;
      case Edit::Kind::change_header:
        message.header.change(edit.index, edit.name, edit.value, attempt.has_leading_space);
        break;
      case Edit::Kind::add_recipient:
        if (std::ranges::none_of(recipients, same)) recipients.push_back(std::move(edit.recipient));
        break;
      case Edit::Kind::delete_recipient:
        std::erase_if(recipients, same);
        break;
      case Edit::Kind::change_sender:
        message.envelope.sender = std::move(edit.sender);
        break;
      case Edit::Kind::quarantine:
        result.quarantine = edit.value.empty() ? "no reason given" : edit.value;
        break;
    }
    message.has_new_8bit = message.has_new_8bit || has_8bit(edit.value);
    result.is_changed = true;
  }
  if (attempt.outcome.has_new_body) {
    std::swap(message.body, attempt.new_body);
    if (message.separator.empty()) message.separator = "\r\n";
    result.is_changed = true;
  }
  if (message.envelope.recipients.empty()) result.kind = FilterResult::Kind::discarded;
  return result;
}

std::unique_ptr<ContentFilter::Connection> ContentFilter::take_idle(const std::string& client) {
  const auto found = std::ranges::find(idle_, client, [](const auto& one) { return one->client; });
  if (found == idle_.end()) return nullptr;
  auto connection = std::move(*found);
  idle_.erase(found);
  return connection;
}

void ContentFilter::keep(std::unique_ptr<Connection> connection) {
  connection->idle_since = MonotonicClock::now();
  idle_.push_back(std::move(connection));
  if (idle_.size() == 1) forget_the_idle();
}

void ContentFilter::forget_the_idle() {
  const auto now = MonotonicClock::now();
  while (!idle_.empty() && idle_.front()->idle_since + idle_max <= now) idle_.pop_front();
  if (idle_.empty()) return;
  idle_timer_.call_at(idle_.front()->idle_since + idle_max, [this](bool came) {
    if (came) forget_the_idle();
  });
}

void ContentFilter::note_failure(const std::string& why) {
  const bool was_down = breaker_.is_open();
  breaker_.failed(MonotonicClock::now(), config_.retry_after);
  last_failure_ = why;
  failed_at_ = WallClock::now();
  ++metrics_.content_filter_failures_total;
  if (breaker_.is_open() && !was_down)
    log_.line(LogLevel::warning, "content filter is down",
              {{"filter", config_.name}, {"address", config_.address}, {"reason", why}});
  if (!breaker_.is_open())
    log_.line(LogLevel::warning, "content filter failed",
              {{"filter", config_.name}, {"address", config_.address}, {"reason", why}});
}

void ContentFilter::note_success() {
  const bool was_down = breaker_.is_open();
  breaker_.succeeded();
  last_failure_.clear();
  if (was_down)
    log_.line(LogLevel::info, "content filter is back",
              {{"filter", config_.name}, {"address", config_.address}});
}

}  // namespace umbra::hub
