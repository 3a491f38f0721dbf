#include "hub/peering/peer_server.h"

#include <array>
#include <deque>
#include <map>

#include "hub/peering/hub_channel.h"
#include "smtp/shadow_capabilities.h"

namespace umbra::hub {
namespace {

constexpr std::size_t sessions_max = 256;
constexpr Duration handshake_timeout = 5s;
constexpr std::size_t waiting_replies_max = 4096;
constexpr std::size_t waiting_octets_max = 32U << 20;
constexpr std::size_t streams_max = 64;
constexpr Duration untrusted_interval = 10s;
constexpr std::size_t unproved_octets_max = 8192;  // of a stranger that are kept

}  // namespace

/// One session of another hub. Lives until its reader and its writer have ended; slots of commands under way
/// outlive it and then answer nobody.
class PeerServer::Session {
 public:
  Session(PeerServer& server, HubChannel channel)
      : server_(server),
        stream_(std::move(channel.stream)),
        tls_(channel.tls),
        watchdog_(server.runtime_.io, *stream_),
        output_ready_(server.runtime_.io),
        drained_(server.runtime_.io),
        writer_done_(server.runtime_.io) {}
  ~Session() {
    for (auto& slot : slots_) slot->session = nullptr;
  }

  Task<void> run();
  Task<void> write_replies();
  void close() { stream_->close(); }

 private:
  struct Slot final : ReplySlot {
    Session* session = nullptr;
    std::size_t octets = 0;
    bool is_ready = false;
    std::string text;
    void answer(const smtp::Reply& reply) override {
      if (is_ready) return;
      is_ready = true;
      text = smtp::to_wire(reply);
      if (session != nullptr) session->flush();
    }
  };

  std::shared_ptr<Slot> new_slot(std::size_t octets) {
    auto slot = std::make_shared<Slot>();
    slot->session = this;
    slot->octets = octets;
    waiting_octets_ += octets;
    slots_.push_back(slot);
    return slot;
  }
  void flush() {
    while (!slots_.empty() && slots_.front()->is_ready) {
      output_ += slots_.front()->text;
      waiting_octets_ -= slots_.front()->octets;
      slots_.front()->session = nullptr;
      slots_.pop_front();
    }
    output_ready_.set();
    drained_.set();
  }
  [[nodiscard]] bool is_full() const {
    return slots_.size() > waiting_replies_max || waiting_octets_ > waiting_octets_max ||
           output_.size() > waiting_octets_max;
  }

  /// False: the session is over.
  bool handle(smtp::ShadowCommand command);
  Task<bool> secure();
  bool handle_opening(smtp::ShadowCommand& command, const ReplySlotPtr& slot);
  void handle_chunk(smtp::ShadowCommand& command, const ReplySlotPtr& slot);
  void drop_streams_that_are_over();
  void note_level(PressureLevel level, ReplySlot& slot);
  void forget_level();

  PeerServer& server_;
  std::unique_ptr<Stream> stream_;
  TlsStream* tls_;  // stream_, or null
  HubTrust trust_;
  Watchdog watchdog_;
  Event output_ready_;
  Event drained_;
  Event writer_done_;
  bool writer_ended_ = false;
  bool is_closing_ = false;
  std::string output_;
  std::deque<std::shared_ptr<Slot>> slots_;
  std::size_t waiting_octets_ = 0;
  smtp::ShadowParser parser_;
  std::optional<std::pair<smtp::HubHello, smtp::HubHello>>
      hellos_;                                       // client, server: between XHUB and XPROOF
  std::map<std::string, cluster::Identity> before_;  // what was known of every hub when the greeting was sent
  smtp::ShadowVersion version_;
  std::optional<ShadowKeeper::Peer> peer_;  // once proved
  std::map<MessageId, ShadowKeeper::Stream> streams_;
  OpenQueries queries_;
};

Task<void> PeerServer::Session::run() {
  watchdog_.expires_after(handshake_timeout);
  if (!co_await secure()) {
    stream_->close();
    co_return;
  }
  for (const auto& member : server_.members_.all())
    if (member->identity) before_.emplace(member->name(), *member->identity);
  output_ = "220 " + server_.config_.host_name + " ESMTP Umbra hub " + server_.config_.hub_name + "\r\n";
  output_ready_.set();
  server_.tasks_.spawn("peer session writer", write_replies());
  std::array<char, 32768> buffer;
  bool go_on = true;
  while (go_on && !server_.is_stopping_) {
    auto got = co_await stream_->read_some(asio::buffer(buffer));
    if (got.error) break;
    // A hub that is alive beats far more often than this.
    if (peer_) watchdog_.expires_after(std::max<Duration>(30s, 3 * server_.config_.cluster.lease));
    // Counted octets are gathered before their command is looked at: nothing of that for a stranger.
    if (!peer_ && parser_.buffered() + got.octets > unproved_octets_max) break;
    parser_.feed({buffer.data(), got.octets});
    while (go_on) {
      auto command = parser_.next();
      if (!command) {
        ++server_.metrics_.hub_protocol_errors_total;
        auto text = command.error().what;
        server_.log_.line(LogLevel::warning, "a hub session sent a wrong command",
                          {{"remote", stream_->remote().host}, {"reply", text}});
        // "501 5.5.4 text": made by the parser in this form.
        new_slot(0)->answer({static_cast<int>(parse_number(text.substr(0, 3)).value_or(500)),
                             text.substr(4, 5), text.substr(10)});
        go_on = false;
        break;
      }
      if (!*command) break;
      go_on = handle(std::move(**command));
      while (go_on && is_full() && !writer_ended_ && !server_.is_stopping_) co_await drained_.wait();
    }
  }
  for (const auto& [id, open] : streams_) server_.keeper_.give_up(open);
  forget_level();
  is_closing_ = true;
  if (go_on) stream_->close();  // the other side went: nobody reads what is left
  output_ready_.set();
  while (!writer_ended_) co_await writer_done_.wait();
  stream_->close();
}

Task<bool> PeerServer::Session::secure() {
  auto trust = co_await secure_hub_channel(tls_, server_.config_.cluster.secret);
  if (trust) {
    trust_ = std::move(*trust);
    co_return true;
  }
  ++server_.metrics_.hub_protocol_errors_total;
  auto& logged = server_.untrusted_logged_;
  auto now = MonotonicClock::now();
  if (server_.is_stopping_ || (logged != MonotonicTime::min() && now < logged + untrusted_interval))
    co_return false;
  logged = now;
  server_.log_.line(LogLevel::warning, "a hub session was refused: TLS",
                    {{"remote", stream_->remote().host}, {"reason", trust.error().what}});
  co_return false;
}

Task<void> PeerServer::Session::write_replies() {
  std::string sending;
  for (;;) {
    if (output_.empty()) {
      if (is_closing_) break;
      co_await output_ready_.wait();
      continue;
    }
    sending.clear();
    std::swap(sending, output_);
    drained_.set();
    if (co_await stream_->write(sending)) {
      stream_->close();
      break;
    }
  }
  writer_ended_ = true;
  writer_done_.set();
  drained_.set();
}

bool PeerServer::Session::handle(smtp::ShadowCommand command) {
  using smtp::ShadowVerb;
  ReplySlotPtr slot =
      new_slot(command.copy.body.size() + command.copy.envelope.size() + command.octets.size() + 64);
  auto verb = command.verb;
  if (verb == ShadowVerb::noop || verb == ShadowVerb::rset) {
    slot->answer({250, "2.0.0", "Ok"});
    return true;
  }
  if (verb == ShadowVerb::quit) {
    slot->answer({221, "2.0.0", "Bye"});
    return false;
  }
  if (verb == ShadowVerb::ehlo || verb == ShadowVerb::hub || verb == ShadowVerb::proof)
    return handle_opening(command, slot);
  if (!peer_) {
    slot->answer({530, "5.7.0", "Prove yourself first (XHUB)"});
    return false;
  }
  auto& keeper = server_.keeper_;
  switch (verb) {
    case ShadowVerb::copy:
    case ShadowVerb::hand:
      if (auto* member = server_.members_.find(peer_->hub)) server_.members_.share(*member);
      if (verb == ShadowVerb::copy && command.copy.part == smtp::CopyOffer::Part::end) {
        auto begun = streams_.find(command.copy.id);
        if (begun == streams_.end() || !begun->second.is_early) {
          slot->answer({503, "5.5.1", "XCOPY BEGIN first"});
        } else {
          keeper.end(*peer_, std::move(begun->second), command.copy, slot);
          streams_.erase(begun);
        }
        return true;
      }
      if (!command.copy.streamed && command.copy.part == smtp::CopyOffer::Part::whole) {
        if (verb == ShadowVerb::hand)
          server_.receiver_.take(
              *peer_, {std::move(command.copy), command.number, command.keep, command.is_held_here}, slot);
        else
          keeper.store(*peer_, std::move(command.copy), slot);
        return true;
      }
      if (streams_.size() >= streams_max) drop_streams_that_are_over();
      if (streams_.size() >= streams_max) {
        slot->answer({452, "4.5.3", "Too many copies at once"});
      } else {
        ShadowKeeper::Stream open;
        auto reply = verb == ShadowVerb::hand
                         ? server_.receiver_.begin(*peer_, {command.copy, command.number, command.keep}, open)
                         : keeper.begin(*peer_, command.copy, open);
        if (reply) {
          slot->answer(*reply);
        } else {
          if (auto old = streams_.find(command.copy.id); old != streams_.end()) keeper.give_up(old->second);
          streams_.insert_or_assign(command.copy.id, std::move(open));
          slot->answer({250, "2.0.0", "Send the body"});
        }
      }
      return true;
    case ShadowVerb::chunk:
      handle_chunk(command, slot);
      return true;
    case ShadowVerb::forget:
      if (auto open = streams_.find(command.id); open != streams_.end()) {
        keeper.give_up(open->second);
        streams_.erase(open);
      }
      keeper.forget(*peer_, command.id, command.generation, slot);
      return true;
    case ShadowVerb::done:
      keeper.discard(*peer_, std::move(command.discards), slot);
      return true;
    case ShadowVerb::poll:
      keeper.poll(*peer_, command.limit, slot);
      return true;
    case ShadowVerb::seen:
      keeper.seen(*peer_, std::move(command.keys), slot);
      return true;
    case ShadowVerb::suspect:
      keeper.suspect(*peer_, std::move(command.suspects), slot);
      return true;
    case ShadowVerb::back:
      if (auto open = streams_.find(command.id); open != streams_.end()) {
        keeper.give_up(open->second);
        streams_.erase(open);
      }
      server_.receiver_.back(*peer_, command.id, command.generation, command.number, slot);
      return true;
    case ShadowVerb::note:
    case ShadowVerb::rehome:
    case ShadowVerb::state:
    case ShadowVerb::gone:
    case ShadowVerb::over:
    case ShadowVerb::level:
    case ShadowVerb::ask:
      // What an ended run is told, it would act on as that run: it comes again as the next one first. What it
      // says of itself is over too.
      if (server_.members_.is_over(peer_->hub, peer_->spool, peer_->epoch)) {
        slot->answer({554, "5.7.0", "Epoch " + std::to_string(peer_->epoch.value) + " is over"});
        return false;
      }
      if (command.verb == ShadowVerb::note)
        keeper.note(*peer_, std::move(command.notes), slot);
      else if (command.verb == ShadowVerb::rehome)
        server_.rehomer_.ask(*peer_, std::move(command.ids), slot);
      else if (command.verb == ShadowVerb::state)
        server_.tasks_.spawn(
            "note a state",
            server_.note_state(*peer_, command.state, std::chrono::milliseconds(command.milliseconds), slot));
      else if (command.verb == ShadowVerb::gone)
        server_.tasks_.spawn("note departures", server_.note_departures(std::move(command.runs), slot));
      else if (command.verb == ShadowVerb::over)
        server_.tasks_.spawn("note ended runs", server_.note_ended(std::move(command.runs), slot));
      else if (command.verb == ShadowVerb::level)
        note_level(command.level, *slot);
      else {
        server_.asked_(peer_->hub, command.ids);
        keeper.ask(*peer_, std::move(command.ids), slot);
      }
      return true;
    case ShadowVerb::beat: {
      auto lease =
          command.epoch == peer_->epoch
              ? server_.members_.heard_beat(peer_->hub, peer_->spool, command.epoch, command.sequence)
              : std::nullopt;
      if (!lease) {
        slot->answer({554, "5.7.0", "Epoch " + std::to_string(command.epoch.value) + " is over"});
        return false;
      }
      if (const auto* member = server_.members_.find(peer_->hub)) {
        if (member->is_refused || !server_.ownership_.gives_promises(*member, command.agreement))
          lease = Duration{0};
      }
      auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(*lease).count();
      slot->answer({250, "2.0.0", "lease " + std::to_string(milliseconds)});
      return true;
    }
    case ShadowVerb::config:
      if (server_.members_.is_over(peer_->hub, peer_->spool, peer_->epoch)) {
        slot->answer({554, "5.7.0", "Epoch " + std::to_string(peer_->epoch.value) + " is over"});
        return false;
      }
      if (auto* member = server_.members_.find(peer_->hub))
        server_.configurations_.heard(*member, command.configuration);
      slot->answer({250, "2.0.0", "Noted"});
      return true;
    case ShadowVerb::query:
      slot->answer(queries_.ask(server_.tasks_, server_.answerer_,
                                {.hub = peer_->hub, .target = std::move(command.target)}));
      return true;
    case ShadowVerb::order:
      // Of a run that is over: its hub may know another state of the cluster, and what it is told to do is
      // not undone.
      if (server_.members_.is_over(peer_->hub, peer_->spool, peer_->epoch)) {
        slot->answer({554, "5.7.0", "Epoch " + std::to_string(peer_->epoch.value) + " is over"});
        return false;
      }
      slot->answer(queries_.ask(
          server_.tasks_, server_.answerer_,
          {.hub = peer_->hub, .by = std::move(command.by), .target = std::move(command.target)}));
      return true;
    case ShadowVerb::answer:
      slot->answer(queries_.fetch(command.number, command.offset));
      return true;
    case ShadowVerb::vote:
      server_.tasks_.spawn("vote", server_.answer_vote(peer_->hub, std::move(command.vote), slot));
      return true;
    case ShadowVerb::epochs:
      server_.tasks_.spawn("tell epochs", server_.answer_vote(peer_->hub, std::nullopt, slot));
      return true;
    default:
      slot->answer({502, "5.5.1", "Not implemented"});
      return true;
  }
}

bool PeerServer::Session::handle_opening(smtp::ShadowCommand& command, const ReplySlotPtr& slot) {
  using smtp::ShadowVerb;
  const auto& config = server_.config_;
  if (command.verb == ShadowVerb::ehlo) {
    std::string text = config.host_name + "\nPIPELINING\nENHANCEDSTATUSCODES";
    text += peer_ ? "\nXSHADOW " + std::to_string(version_.used)
                  : "\nXHUB " + std::to_string(config.cluster.version_highest);
    if (peer_)
      for (auto keyword : smtp::shadow_capabilities) text += '\n' + std::string(keyword);
    slot->answer({250, "", text});
    return true;
  }
  if (command.verb == ShadowVerb::hub) {
    if (peer_ || hellos_) {
      slot->answer({503, "5.5.1", "XHUB was said already"});
      return false;
    }
    version_ = {command.version, std::min(command.version, config.cluster.version_highest)};
    if (version_.used < config.cluster.version_lowest) {
      slot->answer({504, "5.5.4",
                    "Versions " + std::to_string(config.cluster.version_lowest) + " to " +
                        std::to_string(config.cluster.version_highest) + " are spoken here"});
      return false;
    }
    auto own = server_.members_.make_hello();
    auto proof = smtp::hub_proof(trust_.proof_key, "server", command.hello, own, version_);
    slot->answer({334, "", smtp::format_challenge(own, proof, version_)});
    hellos_.emplace(std::move(command.hello), std::move(own));
    return true;
  }
  if (!hellos_) {
    slot->answer({503, "5.5.1", "XHUB first"});
    return false;
  }
  auto [client, own] = std::move(*hellos_);
  hellos_.reset();
  bool is_proved =
      smtp::proofs_equal(command.proof, smtp::hub_proof(trust_.proof_key, "client", client, own, version_)) &&
      trust_.may_be(client.hub);
  auto* member = is_proved ? server_.members_.find_or_admit(client.hub) : nullptr;
  if (member == nullptr) {
    ++server_.metrics_.hub_protocol_errors_total;
    server_.log_.line(LogLevel::warning, "a hub session failed to prove itself",
                      {{"remote", stream_->remote().host}, {"member", client.hub}});
    slot->answer({535, "5.7.8", "Authentication failed"});
    return false;
  }
  auto before = before_.find(client.hub);
  switch (server_.members_.heard_hello(
      client, before == before_.end() ? std::nullopt : std::optional(before->second))) {
    case cluster::Standing::rolled_back:
      slot->answer({555, "5.7.0",
                    "Spool " + to_string(client.spool) + " was rolled back: epoch " +
                        std::to_string(member->identity->epoch.value) + " sequence " +
                        std::to_string(member->identity->sequence.value) + " is remembered"});
      return false;
    case cluster::Standing::epoch_over:
      slot->answer({554, "5.7.0", "Epoch " + std::to_string(client.epoch.value) + " is over"});
      return false;
    case cluster::Standing::name_taken:
      slot->answer({451, "4.7.1", "Another hub of this name is alive"});
      return false;
    default:
      break;
  }
  server_.members_.came_from(client.hub, stream_->remote().host);
  peer_ = ShadowKeeper::Peer{client.hub, client.spool, client.epoch};
  watchdog_.expires_after(std::max<Duration>(30s, 3 * config.cluster.lease));
  slot->answer({235, "2.7.0", "Welcome " + client.hub});
  return true;
}

void PeerServer::Session::note_level(PressureLevel level, ReplySlot& slot) {
  if (auto* member = server_.members_.find(peer_->hub);
      member != nullptr && member->has_spool(peer_->spool)) {
    if (member->pressure != level)
      server_.log_.line(
          level == PressureLevel::normal ? LogLevel::info : LogLevel::warning, "pressure of another hub",
          {{"member", peer_->hub}, {"level", to_string(level)}, {"before", to_string(member->pressure)}});
    member->pressure = level;
    member->pressure_told_in = this;
  }
  slot.answer({250, "2.0.0", "Noted"});
}

// What was told is as good as the session: a hub that cannot say that it is better must not be spared for
// ever.
void PeerServer::Session::forget_level() {
  auto* member = peer_ ? server_.members_.find(peer_->hub) : nullptr;
  if (member == nullptr || member->pressure_told_in != this) return;
  member->pressure = PressureLevel::normal;
  member->pressure_told_in = nullptr;
}

void PeerServer::Session::drop_streams_that_are_over() {
  for (auto at = streams_.begin(); at != streams_.end();) {
    if (server_.keeper_.is_over(at->second)) {
      server_.keeper_.give_up(at->second);
      at = streams_.erase(at);
    } else {
      ++at;
    }
  }
}

void PeerServer::Session::handle_chunk(smtp::ShadowCommand& command, const ReplySlotPtr& slot) {
  auto open = streams_.find(command.id);
  if (open == streams_.end()) return slot->answer({503, "5.5.1", "XCOPY STREAM first"});
  server_.keeper_.append(*peer_, open->second, std::move(command.octets), command.last, slot);
  if (command.last) streams_.erase(open);
}

PeerServer::PeerServer(Runtime runtime, const Config& config, Members& members, Ownership& ownership,
                       ShadowKeeper& keeper, HandReceiver& receiver, Rehomer& rehomer,
                       ConfigurationWatch& configurations, Departures& departures, EventLog& log,
                       Metrics& metrics)
    : runtime_(runtime),
      config_(config),
      members_(members),
      ownership_(ownership),
      keeper_(keeper),
      receiver_(receiver),
      rehomer_(rehomer),
      configurations_(configurations),
      departures_(departures),
      log_(log),
      metrics_(metrics),
      tasks_(runtime.io),
      pause_(runtime.io) {}

PeerServer::~PeerServer() = default;

Result<void> PeerServer::listen() {
  auto acceptor = runtime_.network.listen(config_.cluster.address);
  if (!acceptor) return std::unexpected(acceptor.error());
  acceptor_ = std::move(*acceptor);
  return {};
}

namespace {
smtp::Reply noted_reply(const Result<void>& noted) {
  return noted ? smtp::Reply{250, "2.0.0", "Noted"} : spool_failure_reply(noted.error());
}
}  // namespace

Task<void> PeerServer::note_state(ShadowKeeper::Peer peer, smtp::HubState state, Duration back_within,
                                  ReplySlotPtr slot) {
  slot->answer(noted_reply(co_await members_.heard_state(peer.hub, peer.spool, state, back_within)));
}

Task<void> PeerServer::note_departures(std::vector<smtp::KnownEpoch> gone, ReplySlotPtr slot) {
  slot->answer(noted_reply(co_await departures_.heard(std::move(gone))));
}

Task<void> PeerServer::note_ended(std::vector<smtp::KnownEpoch> over, ReplySlotPtr slot) {
  std::string text;
  for (const auto& run : co_await members_.heard_over(std::move(over)))
    text += smtp::format_epoch(run) + '\n';
  slot->answer({250, "2.0.0", text + "Noted"});
}

void PeerServer::start() {
  tasks_.spawn("peer listener", accept_loop());
}

Task<void> PeerServer::stop() {
  is_stopping_ = true;
  if (acceptor_) acceptor_->close();
  pause_.cancel();
  for (auto& session : sessions_) session->close();
  co_await tasks_.join();
}

Task<void> PeerServer::accept_loop() {
  while (!is_stopping_) {
    auto stream = co_await acceptor_->accept();
    if (is_stopping_) break;
    if (!stream) {
      co_await pause_.wait_for(100ms);
      continue;
    }
    if (sessions_.size() >= sessions_max) continue;
    sessions_.push_front(std::make_unique<Session>(*this, HubChannel(runtime_, std::move(*stream), true)));
    tasks_.spawn("peer session", serve(sessions_.begin()));
  }
}

Task<void> PeerServer::answer_vote(std::string asker, std::optional<smtp::VoteQuestion> question,
                                   ReplySlotPtr slot) {
  smtp::Reply reply;
  if (question)
    reply = co_await ownership_.vote(std::move(asker), std::move(*question));
  else
    reply = co_await ownership_.tell_epochs();
  slot->answer(reply);
}

Task<void> PeerServer::serve(std::list<std::unique_ptr<Session>>::iterator at) {
  co_await (*at)->run();
  sessions_.erase(at);
}

}  // namespace umbra::hub
