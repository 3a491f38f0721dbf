// A connection to a next hop; its life is told in the header. This file is long because opening, conversing
// and settling are one state.
#include "hub/outbound/connection.h"

#include <algorithm>

#include "hub/authentication/authenticators.h"
#include "hub/outbound/destination.h"
#include "hub/outbound/eight_bit.h"
#include "hub/outbound/hop.h"
#include "hub/outbound/next_hop.h"
#include "hub/spool_tasks.h"

namespace umbra::hub {
namespace {

using Phase = smtp::SendSession::Phase;
using State = smtp::RecipientResult::State;

// A body read from the spool is written in pieces of about this size.
constexpr std::size_t write_octets = 64U << 10;
// A body that goes out with BDAT in the same write as its MAIL.
constexpr std::size_t at_once_octets_max = 256U << 10;
// So much a stream takes at once, whatever the next hop does: what is not answered yet and what is to be
// written. Above it a write may have to wait, for as long as the next hop likes.
constexpr std::size_t taken_at_once_octets = 16U << 10;
constexpr std::size_t end_octets = 3;  // ".\r\n"; with BDAT a piece of the body
// The guard takes a while for each `later`. After so many the message waits as after a 4xx reply.
constexpr std::uint32_t held_back_max = 5;
constexpr auto quit_timeout = std::chrono::seconds(5);
constexpr auto drain_timeout = std::chrono::seconds(5);
constexpr auto handshake_timeout = std::chrono::seconds(60);

smtp::StartTlsUse use_of(RouteTlsConfig::Policy policy) {
  if (policy == RouteTlsConfig::Policy::none) return smtp::StartTlsUse::never;
  if (policy == RouteTlsConfig::Policy::opportunistic) return smtp::StartTlsUse::if_offered;
  return smtp::StartTlsUse::always;
}

// That of the host's family; empty: none is named.
std::string source_for(const std::vector<std::string>& sources, const Endpoint& host) {
  const auto is_ipv6 = [](const std::string& address) { return address.find(':') != std::string::npos; };
  auto found = std::ranges::find(sources, is_ipv6(host.host), is_ipv6);
  return found == sources.end() ? std::string{} : *found;
}

std::string text_of(const HostAddress& host) {
  return host.name + " [" + to_string(host.endpoint) + "]";
}

std::string local_text(const Stream& stream) {
  const auto local = stream.local();
  return local.host.empty() ? std::string() : " from " + to_string(local);
}

std::string names_of(const std::vector<HostAddress>& hosts) {
  std::string names;
  for (const auto& host : hosts) names += (names.empty() ? "" : ", ") + text_of(host);
  return names;
}

}  // namespace

Connection::Connection(Parts& parts, ConnectionOwner& owner, Destination& destination)
    : parts_(parts),
      owner_(owner),
      destination_(destination),
      route_(destination.target ? destination.target->route : nullptr),
      tap_(parts.runtime.records, *this),
      event_(parts.runtime.io),
      reader_done_(parts.runtime.io) {}

Task<void> Connection::run(std::shared_ptr<Connection> self) {
  self->self_ = self;
  co_await self->work();
  self->owner_.ended(*self);
}

void Connection::cut() {
  is_cut_ = true;
  is_ending_ = true;
  if (stream_) stream_->close();
  event_.set();
}

SessionFacts Connection::session_facts() const {
  return {SessionDirection::out,
          route_ ? route_->name : "",
          host_ ? host_->name : "",
          stream_ ? stream_->local() : Endpoint{},
          host_ ? host_->endpoint : Endpoint{},
          is_logged()};
}

void Connection::tell_connectivity(std::string_view direction, const std::string& description) {
  auto* log = parts_.runtime.records == nullptr ? nullptr : parts_.runtime.records->connectivity();
  if (log != nullptr)
    log->write(WallClock::now(),
               {session_id_text(tap_.id()), "SMTP", destination_.name, direction, description});
}

Remote Connection::remote() const {
  if (!host_) return {};
  return {host_->name, to_string(host_->endpoint), tls_};
}

// ---- opening

Task<void> Connection::work() {
  const auto began = MonotonicClock::now();
  HostPlan plan = co_await owner_.hosts_for(*this);
  if (is_cut_ || is_ending_) co_return;
  if (plan.bounce) {
    co_await refuse_all(*plan.bounce);
    co_return;
  }
  std::string why = plan.defer;
  bool is_open = false;
  if (plan.hosts.empty())
    tell_connectivity(">", "no host: " + why);
  else
    tell_connectivity("+", "resolved: " + names_of(plan.hosts));
  for (const auto& host : plan.hosts) {
    is_open = co_await open(host, why);
    if (is_open || is_cut_) break;
    const bool is_last = &host == &plan.hosts.back();
    tell_connectivity(
        ">", text_of(host) + ": " + why + (is_last ? "; no other address" : "; next " + text_of((&host)[1])));
    tap_.close(why);
    ++parts_.metrics.connect_failures_total;
    owner_.host_failed(*this, host, why);
  }
  if (!is_open) {
    tap_.close("the hub is stopping");
    host_.reset();
    if (!is_cut_) owner_.unreachable(*this, why);
    co_return;
  }
  ++parts_.metrics.connections_out_total;
  parts_.metrics.delivery_connect_seconds.observe(MonotonicClock::now() - began);
  ++parts_.metrics.connections_out;
  tell_connectivity(
      "+", "connected to " + text_of(*host_) + local_text(*stream_) + (tls_.empty() ? "" : ", " + tls_));
  owner_.established(*this);
  owner_.scope().spawn("replies", read_replies(self_.lock()));
  co_await converse();
  if (!is_closed_ && !is_write_broken_) {
    watchdog_->expires_after(quit_timeout);
    co_await stream_->finish();
  }
  close("the connection ended");
  session_->lost(closed_why_);
  while (session_->has_result()) handle(session_->next_result());
  if (aside_) owner_.give_back(std::exchange(aside_, nullptr), "");
  co_await reader_done_.wait();
  watchdog_.reset();
  const auto& over = session_->over_reason();
  const std::string ended = over.code == 221 || is_cut_ ? "ended by this hub"
                            : over.code != 0            ? "the next hop said: " + smtp::to_line(over)
                                                        : over.text;
  tell_connectivity("-", "messages: " + std::to_string(delivered_) +
                             ", octets: " + std::to_string(delivered_octets_) + "; " + ended);
  tap_.close(ended);
  --parts_.metrics.connections_out;
}

// Connects and says hello, as encrypted as the route wants it. Every failure here is the host's: the next one
// is tried.
Task<bool> Connection::open(HostAddress host, std::string& why) {
  const auto& route = *route_;
  auto starttls = parts_.runtime.tls == nullptr ? smtp::StartTlsUse::never : use_of(route.tls.policy);
  bool is_open = co_await connect(host, starttls, why);
  if (is_open || is_cut_ || !has_begun_tls_) co_return is_open;
  ++parts_.metrics.tls_failures_out_total;
  if (starttls != smtp::StartTlsUse::if_offered || !session_->awaits_hello_after_tls()) co_return false;
  parts_.log.line(
      LogLevel::warning, "TLS failed, going on without",
      {{"route", route.name}, {"host", host.name}, {"address", to_string(host.endpoint)}, {"reason", why}});
  ++parts_.metrics.tls_fallbacks_total;
  tap_.close(why);
  co_return co_await connect(host, smtp::StartTlsUse::never, why);
}

Task<bool> Connection::connect(HostAddress host, smtp::StartTlsUse starttls, std::string& why) {
  const auto& times = parts_.config.delivery;
  has_begun_tls_ = false;
  tls_.clear();
  watchdog_.reset();
  session_.reset();
  stream_.reset();
  host_ = host;
  tap_.open();
  if (auto* record = tap_.record()) record->note("connecting to " + text_of(host));
  auto connected =
      co_await parts_.runtime.network.connect(host.endpoint, MonotonicClock::now() + times.connect_timeout,
                                              source_for(route_->source_addresses, host.endpoint));
  if (!connected) {
    why = "4.4.1 " + connected.error().what + ": " + connected.error().code.message();
    host_.reset();
    co_return false;
  }
  stream_ = std::move(*connected);
  if (is_cut_) {
    stream_->close();
    co_return false;
  }
  session_.emplace(parts_.config.host_name, starttls, !route_->authentication.user.empty());
  session_->observe(tap_.record());
  if (auto* record = tap_.record()) record->connected(session_facts());
  log_on_.reset();
  bool has_begun_log_on = false;
  watchdog_.emplace(parts_.runtime.io, *stream_);
  while (session_->phase() != Phase::ready && session_->phase() != Phase::over) {
    watchdog_->expires_after(times.command_timeout);
    if (session_->phase() == Phase::handshake) {
      co_await start_tls(host);
      continue;
    }
    if (session_->phase() == Phase::log_on || session_->phase() == Phase::challenge ||
        session_->phase() == Phase::logged_on) {
      has_begun_log_on = true;
      co_await log_on(host);
      continue;
    }
    if (!session_->output().empty()) {
      writing_.swap(session_->output());
      if (auto* record = tap_.record()) record->sending();
      ErrorCode error = co_await stream_->write(writing_);
      writing_.clear();
      if (error)
        session_->lost("4.4.2 lost connection to " + host.name + " while greeting: " + error.message());
      continue;
    }
    auto read = co_await stream_->read_some(asio::buffer(read_buffer_));
    if (read.error) {
      session_->lost(watchdog_->fired() ? "4.4.2 " + host.name + " did not answer in time"
                                        : "4.4.2 lost connection to " + host.name +
                                              " while greeting: " + read.error.message());
    } else {
      session_->feed({read_buffer_.data(), read.octets});
    }
  }
  log_on_.reset();
  if (session_->phase() == Phase::ready) {
    if (has_begun_log_on) ++parts_.metrics.authentications_out_total;
    co_return true;
  }
  const auto& reason = session_->over_reason();
  why = reason.code != 0 ? "host " + host.name + " said: " + smtp::to_line(reason) : reason.text;
  if (has_begun_log_on) {
    ++parts_.metrics.authentication_failures_out_total;
    parts_.log.line(LogLevel::error, "could not log on at a next hop, mail waits",
                    {{"route", route_->name},
                     {"host", host.name},
                     {"address", to_string(host.endpoint)},
                     {"user", route_->authentication.user},
                     {"reason", why}});
  }
  watchdog_.reset();
  stream_->close();
  co_return false;
}

// The next hop has said 220 to STARTTLS.
Task<void> Connection::start_tls(HostAddress host) {
  const auto& route = *route_;
  has_begun_tls_ = true;
  auto place = is_named_by_operator(route.name) ? parts_.runtime.tls->named_hosts()
                                                : parts_.runtime.tls->route(route.name);
  auto context = place == nullptr ? nullptr : place->context();
  if (context == nullptr)
    co_return session_->lost("4.7.5 TLS is not set up: " + (place == nullptr ? "" : place->problem()));
  TlsServerName server{host.name, {}, host.name + " " + to_string(host.endpoint)};
  if (route.tls.policy == RouteTlsConfig::Policy::verify) {
    server.names = route.tls.names;
    if (server.names.empty()) server.names.push_back(host.name);
  }
  watchdog_.reset();
  auto wrapped =
      std::make_unique<TlsStream>(parts_.runtime.io, std::move(stream_), std::move(context), server);
  auto& tls = *wrapped;
  stream_ = std::move(wrapped);
  watchdog_.emplace(parts_.runtime.io, *stream_);
  watchdog_->expires_after(std::min<Duration>(handshake_timeout, parts_.config.delivery.command_timeout));
  auto done = co_await tls.handshake();
  if (is_cut_) co_return session_->lost("4.4.2 the hub is stopping");
  if (!done)
    co_return session_->lost("4.7.5 " + host.name + ": " +
                             (watchdog_->fired() ? "the TLS handshake took too long" : done.error().what));
  tls_ = tls.version() + " " + tls.cipher();
  ++parts_.metrics.tls_connections_out_total;
  if (auto* record = tap_.record()) {
    std::string names;
    for (const auto& name : tls.peer_names().dns) names += " " + name;
    record->note("TLS established: " + tls_ + (tls.is_resumed() ? ", resumed" : "") +
                 (names.empty() ? "" : "; certificate of" + names));
  }
  if (tls.is_resumed()) ++parts_.metrics.tls_sessions_resumed_total;
  session_->tls_started();
}

// Steps of SCRAM take time that the next hop chooses: they are computed on the password lane.
Task<void> Connection::log_on(HostAddress host) {
  const auto& authentication = route_->authentication;
  if (session_->phase() == Phase::logged_on) {
    if (auto* record = tap_.record(); record != nullptr && log_on_->is_complete())
      record->note("logged on as " + authentication.user);
    if (log_on_->is_complete()) co_return session_->auth_accept();
    co_return session_->lost("4.7.0 " + host.name + " let this hub in without proving that it knows it");
  }
  const bool is_first = session_->phase() == Phase::log_on;
  std::string mechanism;
  if (is_first) {
    mechanism = SaslClient::best_of(session_->next_hop().auth_mechanisms);
    if (!session_->is_secured() && !authentication.allow_without_tls)
      co_return session_->lost("4.7.0 the connection is not encrypted, so this hub does not log on");
    if (mechanism.empty())
      co_return session_->lost("4.7.0 " + host.name + " offers no way to log on that this hub knows");
    if (parts_.runtime.authenticators == nullptr)
      co_return session_->lost("4.7.0 this hub cannot log on anywhere");
    log_on_ = std::make_shared<SaslClient>(mechanism, authentication.user, authentication.password);
  }
  using Said = Result<std::optional<std::string>>;
  auto said = co_await parts_.runtime.authenticators->lane().run<Said>(
      [client = log_on_, is_first, challenge = session_->auth_challenge()]() -> Said {
        if (is_first) return client->begin();
        auto answer = client->answer(challenge);
        if (!answer) return std::unexpected(answer.error());
        return std::optional(std::move(*answer));
      });
  if (is_cut_) co_return session_->lost("4.4.2 the hub is stopping");
  if (session_->phase() == Phase::over) co_return;
  if (!said) co_return session_->lost("4.7.0 too many log-ons are under way");
  if (!*said) co_return session_->lost("4.7.0 " + host.name + ": " + said->error().what);
  if (is_first) co_return session_->auth(mechanism, **said);
  session_->auth_respond((*said)->value_or(""));
}

// Mail for this destination can never be delivered: every message gets that answer.
Task<void> Connection::refuse_all(smtp::Reply reply) {
  while (!is_cut_ && !is_ending_) {
    if (unrecorded_ >= unrecorded_max) {
      co_await event_.wait();
      continue;
    }
    JobPtr job = owner_.take(*this);
    if (!job) break;
    settle(job, State::failed, reply);
  }
}

// ---- conversing

Task<void> Connection::read_replies(std::shared_ptr<Connection> self) {
  while (true) {
    auto read = co_await self->stream_->read_some(asio::buffer(self->read_buffer_));
    if (read.error) {
      if (self->closed_why_.empty())
        self->closed_why_ =
            self->watchdog_->fired()
                ? "4.4.2 " + self->host_->name + " did not answer in time"
                : "4.4.2 lost connection to " + self->host_->name + ": " + read.error.message();
      break;
    }
    self->session_->feed({self->read_buffer_.data(), read.octets});
    self->event_.set();
  }
  self->is_closed_ = true;
  self->event_.set();
  self->reader_done_.set();
}

void Connection::close(std::string_view why) {
  if (closed_why_.empty()) closed_why_ = why;
  is_closed_ = true;
  stream_->close();
}

void Connection::set_deadline() {
  const auto& times = parts_.config.delivery;
  if (is_write_broken_)
    watchdog_->expires_after(drain_timeout);
  else if (session_->phase() == Phase::quitting)
    watchdog_->expires_after(quit_timeout);
  else if (session_->awaits_final_reply())
    watchdog_->expires_after(times.data_reply_timeout);
  else if (session_->awaits_reply())
    watchdog_->expires_after(times.command_timeout);
  else
    watchdog_->expires_at(MonotonicTime::max());  // idle: the scheduler ends it
}

Task<void> Connection::converse() {
  while (true) {
    while (session_->has_result()) handle(session_->next_result());
    if (session_->phase() == Phase::over) co_return;
    if (is_closed_) {
      session_->lost(closed_why_);
      continue;
    }
    if (!is_write_broken_) {
      if (session_->wants_content()) {
        co_await send_content();
        if (session_->phase() == Phase::over || is_closed_) continue;
      }
      if (session_->can_begin()) co_await begin_next();
      if (session_->has_result() || session_->phase() == Phase::over) continue;
      if (!session_->output().empty()) {
        co_await write_output();
        continue;
      }
    }
    set_deadline();
    co_await event_.wait();
  }
}

Task<bool> Connection::write_output() {
  writing_.swap(session_->output());
  const auto& times = parts_.config.delivery;
  watchdog_->expires_after(session_->awaits_final_reply() ? times.data_reply_timeout : times.command_timeout);
  ErrorCode error;
  std::size_t from = 0;
  if (auto end = std::exchange(end_, std::nullopt)) {
    auto found = std::ranges::find(in_hand_, end->job, &InHand::job);
    UMBRA_ASSERT(found != in_hand_.end());
    found->end_at = written_ + end->at;
    if (written_ - answered_up_to_ + writing_.size() > taken_at_once_octets) {
      from = end->at - end_octets;
      if (auto* record = tap_.record()) record->sending_but_end();
      error = co_await write_but_end(*end);
      if (end->job->is_withdrawn && !error) {
        writing_.clear();
        co_return false;
      }
    }
  }
  if (auto* record = tap_.record(); record != nullptr && !error) record->sending();
  if (!error) error = co_await stream_->write(std::string_view(writing_).substr(from));
  written_ += writing_.size();
  writing_.clear();
  if (error) {
    // What the next hop said before it closed is still to be read.
    is_write_broken_ = true;
    if (closed_why_.empty()) closed_why_ = "4.4.2 lost connection to " + host_->name + ": " + error.message();
  }
  co_return !error;
}

// The guard has said yes when the end of data was put into the output; but to write what is before it may
// have taken long, and the process may have been stopped meanwhile. So the end is kept back, and the guard
// asked again when the end can leave at once.
Task<ErrorCode> Connection::write_but_end(End end) {
  auto error = co_await stream_->write(std::string_view(writing_).substr(0, end.at - end_octets));
  if (!error) error = co_await stream_->writable();
  bool is_allowed = !error && co_await may_deliver(end.job);
  if (is_allowed && !is_closed_) co_return ErrorCode{};
  end.job->is_withdrawn = true;
  if (error) co_return error;
  // Nothing but an end of the connection takes the message back.
  if (auto* record = tap_.record()) record->withheld(is_allowed ? "the connection ended" : why_not(*end.job));
  close(is_allowed ? "the connection ended" : why_not(*end.job));
  co_return ErrorCode{};
}

// Takes mail until a transaction is begun or there is none; then the connection idles or ends.
Task<void> Connection::begin_next() {
  const bool is_alone = session_->under_way() == 0;
  while (!is_ending_ && unrecorded_ < unrecorded_max) {
    if (begun_ >= destination_.messages_per_connection_max() || (begun_ != 0 && owner_.should_yield(*this))) {
      is_ending_ = true;
      break;
    }
    JobPtr job = aside_ ? std::exchange(aside_, nullptr) : owner_.take(*this);
    if (!job) break;
    if (needs_conversion(*job) && !is_alone) {
      // That may take a read of the spool, and the guard has just been asked for the message whose end is in
      // output().
      aside_ = std::move(job);
      break;
    }
    if (co_await begin(std::move(job))) co_return;
    if (session_->phase() != Phase::ready || is_closed_) co_return;
  }
  if (!is_alone || !session_->can_begin() || session_->under_way() != 0) co_return;
  if (is_ending_) {
    session_->quit();
  } else if (unrecorded_ < unrecorded_max && !is_idle) {
    owner_.became_idle(*this);
  }
}

bool Connection::needs_conversion(const Job& job) const {
  return job.envelope().body_8bit && !session_->next_hop().eight_bit_mime && !job.is_converted;
}

Task<bool> Connection::begin(JobPtr job) {
  if (job->is_forgotten) {
    owner_.drop(job);
    co_return false;
  }
  const auto& next_hop = session_->next_hop();
  const Envelope& envelope = job->envelope();
  if (auto refusal = smtp::refuses(next_hop, envelope, job->message->size)) {
    settle(job, State::failed, *refusal);
    co_return false;
  }
  if (needs_conversion(*job)) {
    auto refusal = co_await make_seven_bit(parts_, job);
    if (refusal) {
      settle(job, refusal->is_permanent() ? State::failed : State::deferred, *refusal);
      co_return false;
    }
    if (is_closed_ || !session_->can_begin()) {
      owner_.give_back(job, "");
      co_return false;
    }
  }
  smtp::Transaction transaction;
  transaction.key = next_key_++;
  transaction.envelope = &envelope;
  transaction.recipients = job->recipients;
  const std::uint64_t body_octets = job->is_converted ? job->body->size() : job->message->size;
  job->front = hop_field_of(parts_.config, *job, WallClock::now());
  // Rather without the field than refused for it.
  if (next_hop.size_max != 0 && body_octets + job->front.size() > next_hop.size_max) job->front.clear();
  transaction.size = job->front.size() + body_octets;
  transaction.is_8bit = envelope.body_8bit && !job->is_converted;
  bool is_whole = job->body != nullptr && job->body->size() == body_octets;
  job->state = Job::State::sending;
  job->sending_since = MonotonicClock::now();
  job->is_withdrawn = false;
  if (is_whole && job->body->size() <= at_once_octets_max && session_->can_send_at_once()) {
    if (!co_await may_deliver(job)) {
      if (job->is_held_back && ++job->times_held_back < held_back_max)
        owner_.give_back(job, "");
      else if (job->is_held_back)
        settle(job, State::deferred, {451, "4.4.0", parts_.guard.why_not_now()});
      else
        owner_.drop(job);
      co_return false;
    }
    if (is_closed_ || !session_->can_send_at_once()) {
      owner_.give_back(job, "");
      co_return false;
    }
    job->state = Job::State::ending;
    in_hand_.push_back({transaction.key, job});
    session_->begin(std::move(transaction), *job->body, job->front);
    if (session_->awaits_final_reply())
      end_ = End{session_->output().size(), job};
    else
      job->state = Job::State::sending;
  } else {
    in_hand_.push_back({transaction.key, job});
    session_->begin(std::move(transaction));
  }
  ++begun_;
  co_return true;
}

std::string Connection::why_not(const Job& job) const {
  return job.is_held_back ? "4.4.0 " + parts_.guard.why_not_now()
                          : "the message is not ours to deliver any more";
}

// Asked right before the step that cannot be undone.
Task<bool> Connection::may_deliver(const JobPtr& job) {
  const auto& message = *job->message;
  job->is_held_back = false;
  job->is_counted = false;
  if (job->is_forgotten) co_return false;
  if (parts_.guard.may_deliver_now(message)) co_return true;
  auto verdict = co_await parts_.guard.may_deliver(message);
  if (verdict == DeliveryGuard::Verdict::stop) {
    owner_.not_ours(message.row);
    job->is_forgotten = true;
  }
  if (job->is_forgotten) co_return false;
  if (verdict == DeliveryGuard::Verdict::later) {
    job->is_held_back = true;
    co_return false;
  }
  job->is_counted = verdict == DeliveryGuard::Verdict::go_possible_duplicate;
  if (job->is_counted) note_possible_duplicate(*job, "ownership could not be confirmed");
  co_return true;
}

void Connection::note_possible_duplicate(const Job& job, std::string_view reason) {
  ++parts_.metrics.possible_duplicates_total;
  parts_.log.message(MessageEvent::possible_duplicate, job.message->id,
                     {{"reason", reason}, {"host", host_->name}});
}

// The next hop said 354: the content, then, if the message may be delivered, the final dot.
Task<void> Connection::send_content() {
  auto key = session_->content_key();
  auto found = std::ranges::find(in_hand_, key, &InHand::key);
  UMBRA_ASSERT(found != in_hand_.end());
  JobPtr job = found->job;
  if (!job->is_forgotten) {
    session_->content(job->front);
    if (job->body != nullptr) {
      session_->content(*job->body);
      if (!job->is_converted && job->body->size() != job->message->size)
        co_return close("4.3.0 the body in the spool is not whole");
    } else if (!co_await stream_body(job)) {
      co_return;
    }
  }
  bool is_allowed = co_await may_deliver(job);
  if (session_->phase() == Phase::over || is_closed_ || is_write_broken_) co_return;
  // Inside DATA nothing but an end of the connection takes the message back.
  if (!is_allowed) co_return close(why_not(*job));
  job->state = Job::State::ending;
  session_->end_content();
  end_ = End{session_->output().size(), job};
}

Task<bool> Connection::stream_body(const JobPtr& job) {
  std::uint64_t octets = 0;
  for (std::uint32_t number = 0; octets < job->message->size; ++number) {
    RowId row = job->row();
    auto chunk = co_await query<std::string>(
        parts_.runtime.io, parts_.spool,
        [row, number](storage::Reader& reader) { return reader.chunk(row, number); });
    if (session_->phase() == Phase::over || is_closed_) co_return false;
    if (!chunk || chunk->empty()) break;
    octets += chunk->size();
    if (octets > job->message->size) break;
    session_->content(*chunk);
    if (session_->output().size() >= write_octets) {
      bool is_written = co_await write_output();
      if (!is_written || session_->phase() == Phase::over || is_closed_) co_return false;
    }
  }
  if (octets == job->message->size) co_return true;
  if (!job->is_forgotten)
    parts_.log.line(LogLevel::error, "the body in the spool is not whole",
                    {{"id", to_string(job->message->id)}});
  close("4.3.0 the body in the spool is not whole");
  co_return false;
}

// ---- outcomes

void Connection::handle(smtp::TransactionResult result) {
  auto found = std::ranges::find(in_hand_, result.key, &InHand::key);
  UMBRA_ASSERT(found != in_hand_.end());
  JobPtr job = std::move(found->job);
  const auto end_at = found->end_at;
  in_hand_.erase(found);
  if (job->is_withdrawn) result.possible_duplicate = false;  // the session thinks that its end was sent
  const auto& first = result.recipients.front();
  bool is_delivered =
      std::ranges::any_of(result.recipients, [](const auto& r) { return r.state == State::delivered; });
  bool is_unanswered = first.reply.code == 0 && !result.possible_duplicate;
  if (first.reply.code != 0) answered_up_to_ = std::max(answered_up_to_, end_at);
  if ((job->is_forgotten && !is_delivered) || (is_cut_ && is_unanswered)) {
    // Whoever owns it now sends it again, though this next hop may have it.
    if (result.possible_duplicate) note_possible_duplicate(*job, "no reply to the end of data");
    return owner_.drop(job);
  }
  bool is_held_back =
      job->is_held_back && first.reply.code == 0 && !result.possible_duplicate && !is_delivered;
  if (is_held_back && ++job->times_held_back < held_back_max) {
    job->is_withdrawn = false;
    owner_.give_back(job, "");
    return;
  }
  if (!result.was_attempted && completed_ != 0) {
    owner_.give_back(job, "");
    return;
  }
  bool is_refused_at_mail =
      result.recipients.size() ==
      static_cast<std::size_t>(std::ranges::count_if(result.recipients, [](const auto& r) {
        return r.state == State::deferred &&
               (r.stage == smtp::SendStage::mail || r.stage == smtp::SendStage::connection);
      }));
  if (is_refused_at_mail && !result.possible_duplicate && owner_.give_back(job, to_string(host_->endpoint))) {
    if (completed_ == 0) {
      // It refuses everything: others first for a while.
      owner_.host_failed(*this, *host_,
                         first.reply.code != 0 ? smtp::to_line(first.reply) : first.reply.text);
      is_ending_ = true;
    }
    return;
  }
  if (first.reply.code != 0) ++completed_;
  if (is_delivered) {
    parts_.metrics.delivery_queue_seconds.observe(job->sending_since - job->ready_since);
    parts_.metrics.delivery_transmit_seconds.observe(MonotonicClock::now() - job->sending_since);
    ++delivered_;
    delivered_octets_ += job->message->size;
  } else
    parts_.log.message(MessageEvent::attempted, job->message->id,
                       {{"host", host_->name},
                        {"address", to_string(host_->endpoint)},
                        {"reply", first.reply.code != 0 ? smtp::to_line(first.reply) : first.reply.text}});
  if (result.possible_duplicate) note_possible_duplicate(*job, "no reply to the end of data");
  // The reply was long on its way: meanwhile another hub may have taken the message over.
  if (is_delivered && !job->is_counted && !parts_.guard.may_deliver_now(*job->message))
    note_possible_duplicate(*job, "ownership was not certain any more when the reply came");
  finish(std::move(job), std::move(result));
}

void Connection::settle(const JobPtr& job, State state, const smtp::Reply& reply) {
  finish(job, result_for_all(*job, state, reply));
}

void Connection::finish(JobPtr job, smtp::TransactionResult result) {
  ++unrecorded_;
  owner_.finished(std::move(job), std::move(result), remote(), [self = self_.lock()] {
    if (--self->unrecorded_ == unrecorded_max - 1) self->event_.set();
  });
}

}  // namespace umbra::hub
