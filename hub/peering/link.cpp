#include "hub/peering/link.h"

#include "hub/logs/session_record.h"

namespace umbra::hub {
namespace {

constexpr Duration connect_timeout = 2s;
constexpr Duration handshake_timeout = 3s;
constexpr Duration reconnect_pause = 250ms;
constexpr Duration untrusted_pause = 2s;
constexpr std::size_t output_octets_max = 64U << 20;

}  // namespace

struct Link::Call {
  explicit Call(asio::io_context& io) : wake(io) {}
  void end(Outcome::Kind kind) {
    outcome.kind = kind;
    wake.cancel();
  }
  Timer wake;
  Outcome outcome{Outcome::Kind::lost, {}, {}};  // unless a reply comes in time
  Duration timeout{};
};

Link::Link(Runtime runtime, const MemberConfig& member, const ClusterConfig& config, LinkOwner& owner)
    : runtime_(runtime),
      member_(member),
      secret_(config.secret),
      spoken_{config.version_lowest, config.version_highest},
      offer_(config.version_highest),
      owner_(owner),
      tasks_(runtime.io),
      pause_(runtime.io),
      output_ready_(runtime.io),
      writer_done_(runtime.io) {}

Link::~Link() = default;

void Link::start() {
  tasks_.spawn("link", run());
}

void Link::close() {
  if (stream_) stream_->close();
}

void Link::set_address(const Endpoint& address) {
  if (member_.address == address) return;
  member_.address = address;
  resolved_.clear();
  pause_.cancel();
}

void Link::tell_connectivity(std::string_view direction, const std::string& description) {
  auto* log = runtime_.records == nullptr ? nullptr : runtime_.records->connectivity();
  if (log == nullptr) return;
  if (session_id_ == 0) session_id_ = runtime_.records->new_id();
  log->write(WallClock::now(), {session_id_text(session_id_), "SMTP", "shadowredundancy", direction,
                                "hub " + member_.name + ": " + description});
}

void Link::tell_failure(const std::string& why) {
  if (why == failure_told_) return;
  failure_told_ = why;
  tell_connectivity(">", why);
}

void Link::complain(const std::string& why) {
  tell_failure(why);
  if (why == complained_) return;
  complained_ = why;
  owner_.on_trouble(member_.name, why);
}

Task<void> Link::stop() {
  is_stopping_ = true;
  close();
  pause_.cancel();
  output_ready_.set();
  co_await tasks_.join();
}

Task<void> Link::run() {
  while (!is_stopping_) {
    co_await one_session();
    if (is_stopping_) break;
    co_await pause_.wait_for(reconnect_pause + Duration{runtime_.random.below(100'000'000)});
  }
}

Task<void> Link::one_session() {
  if (member_.address.host.empty()) co_return;  // found by discovery once it is known
  // Stale answers serve where there is no new one: who listens there proves who he is.
  auto addresses = co_await runtime_.resolver.addresses(member_.address.host);
  if (addresses && !addresses->empty()) resolved_ = std::move(*addresses);
  if (is_stopping_) co_return;
  if (resolved_.empty())
    co_return tell_failure("no address of " + member_.address.host +
                           (addresses ? "" : ": " + addresses.error().what));
  Endpoint to{resolved_[attempts_++ % resolved_.size()], member_.address.port};
  auto stream = co_await runtime_.network.connect(to, MonotonicClock::now() + connect_timeout);
  if (is_stopping_) co_return;
  if (!stream)
    co_return tell_failure("cannot connect to " + to_string(to) + ": " + stream.error().code.message());
  HubChannel channel(runtime_, std::move(*stream), false);
  stream_ = std::move(channel.stream);
  watchdog_ = std::make_unique<Watchdog>(runtime_.io, *stream_);
  watchdog_->expires_after(handshake_timeout);
  input_.clear();
  output_.clear();
  bool is_trusted = co_await secure(channel.tls);
  if (is_trusted && co_await handshake(*stream_)) {
    watchdog_->expires_at(MonotonicTime::max());
    is_open_ = true;
    ++sessions_;
    used_at_ = MonotonicClock::now();
    failure_told_.clear();
    commands_ = octets_ = 0;
    tell_connectivity(
        "+", "connected to " + to_string(to) +
                 (channel.tls == nullptr ? "" : ", " + channel.tls->version() + " " + channel.tls->cipher()));
    writer_ended_ = false;
    tasks_.spawn("link writer", write_commands());
    owner_.on_open(member_.name);
    co_await read_replies(*stream_);
    const std::string_view ended = is_stopping_         ? "this hub is stopping"
                                   : watchdog_->fired() ? "no answer in time"
                                                        : "the connection ended";
    tell_connectivity("-", "commands: " + std::to_string(commands_) + ", octets: " + std::to_string(octets_) +
                               "; " + std::string(ended));
    session_id_ = 0;
    end_session();
    owner_.on_closed(member_.name);
    while (!writer_ended_) co_await writer_done_.wait();
  }
  watchdog_.reset();
  stream_->close();
  stream_.reset();
  if (!is_trusted && !is_stopping_) co_await pause_.wait_for(untrusted_pause);
}

/// Where there is TLS, the certificate must be this member's, whatever the address.
Task<bool> Link::secure(TlsStream* tls) {
  auto trust = co_await secure_hub_channel(tls, secret_);
  if (is_stopping_) co_return false;
  if (!trust) {
    complain(trust.error().what);
    co_return false;
  }
  trust_ = std::move(*trust);
  if (trust_.may_be(member_.name)) co_return true;
  complain("the certificate of whoever answers at its address does not name it");
  co_return false;
}

void Link::end_session() {
  is_open_ = false;
  stream_->close();
  output_ready_.set();
  for (const auto& call : std::exchange(calls_, {})) call->end(Outcome::Kind::lost);
}

Task<bool> Link::handshake(Stream& stream) {
  if (!co_await read_hub_greeting(stream, input_)) co_return false;
  auto own = owner_.make_hello();
  auto before = owner_.remembered(member_.name);
  auto opening = co_await open_hub_session(stream, input_, own, trust_.proof_key, offer_, spoken_);
  if (opening.kind != Opening::Kind::proved) {
    if (opening.kind == Opening::Kind::other_version) {
      // One release before ours knows no choice of versions: it takes its own or none. The next session
      // offers a lower one.
      bool is_last = offer_ <= spoken_.lowest;
      offer_ = is_last ? spoken_.highest : offer_ - 1;
      if (is_last) complain("no version of the protocol in common: " + opening.why);
    }
    co_return false;
  }
  if (opening.server.hub != member_.name) {
    complain("another hub answers at its address: " + opening.server.hub);
    co_return false;
  }
  version_ = opening.version;
  auto answer =
      smtp::format_proof(smtp::hub_proof(trust_.proof_key, "client", own, opening.server, version_)) +
      "EHLO " + own.hub + "\r\n";
  if (co_await stream.write(answer)) co_return false;
  auto accepted = co_await read_hub_reply(stream, input_);
  if (!accepted) co_return false;
  if (accepted->code != 235) {
    if (accepted->code == 554 || accepted->code == 555)
      owner_.on_refused(member_.name, *accepted);
    else
      complain("it refuses this hub: " + smtp::to_line(*accepted));
    co_return false;
  }
  auto extensions = co_await read_hub_reply(stream, input_);
  if (!extensions || extensions->code != 250) co_return false;
  keywords_ = smtp::parse_keywords(extensions->text);
  if (!keywords_.contains("XSHADOW")) co_return false;
  offer_ = spoken_.highest;
  complained_.clear();
  co_return owner_.on_hello(opening.server, before);
}

Task<void> Link::read_replies(Stream& stream) {
  while (!is_stopping_) {
    auto reply = co_await read_hub_reply(stream, input_);
    if (!reply || calls_.empty()) co_return;
    auto call = std::move(calls_.front());
    calls_.pop_front();
    watch_first();
    call->outcome.reply = std::move(*reply);
    if (call->outcome.reply.code == 554 || call->outcome.reply.code == 555)
      owner_.on_refused(member_.name, call->outcome.reply);
    call->end(Outcome::Kind::replied);
  }
}

Task<void> Link::write_commands() {
  std::string sending;
  while (is_open_ && !is_stopping_) {
    if (output_.empty()) {
      co_await output_ready_.wait();
      continue;
    }
    sending.clear();
    std::swap(sending, output_);
    if (co_await stream_->write(sending)) {
      stream_->close();
      break;
    }
  }
  writer_ended_ = true;
  writer_done_.set();
}

Task<Link::Outcome> Link::call(std::string command, Duration timeout) {
  auto now = MonotonicClock::now();
  if (!is_open_ || is_stopping_ || output_.size() > output_octets_max)
    co_return Outcome{Outcome::Kind::not_sent, {}, now};
  auto call = std::make_shared<Call>(runtime_.io);
  call->outcome.sent_at = now;
  call->timeout = timeout;
  used_at_ = now;
  ++commands_;
  octets_ += command.size();
  output_ += command;
  calls_.push_back(call);
  if (calls_.size() == 1) watch_first();
  output_ready_.set();
  co_await call->wake.wait_until(now + timeout);
  co_return call->outcome;
}

Task<Link::Outcome> Link::call_or_end(std::string command, Duration timeout) {
  auto session = sessions_;
  auto outcome = co_await call(std::move(command), timeout);
  if (outcome.kind == Outcome::Kind::lost && session == sessions_) close();
  co_return outcome;
}

// One that has ended before it came to its turn, behind slower ones, has its time once more: the other side
// may be quick with it.
void Link::watch_first() {
  if (calls_.empty()) return watchdog_->expires_at(MonotonicTime::max());
  const auto& first = *calls_.front();
  auto now = MonotonicClock::now();
  auto deadline = first.outcome.sent_at + first.timeout;
  watchdog_->expires_at(deadline > now ? deadline : now + first.timeout);
}

}  // namespace umbra::hub
