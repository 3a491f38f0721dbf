// The network as one process has it: connecting, listening, being cut off.
#include <algorithm>
#include <boost/asio/error.hpp>

#include "tests/simulation/stream.h"

namespace umbra::simulation {
namespace {
constexpr Duration connect_retransmit_max = 8s;
}

/// A connect() under way: tried again as TCP does until the other machine answers or the deadline passes.
struct ProcessNetwork::Dial {
  Dial(ProcessNetwork& p, Endpoint t) : process(&p), to(std::move(t)), changed(p.host().io()) {}
  ProcessNetwork* process;  ///< null: connect() has given up
  Endpoint to;
  hub::Event changed;
  ErrorCode error;
  std::shared_ptr<Connection> connection;
  bool is_answered = false;

  void answer(ErrorCode code) {
    if (process == nullptr || is_answered) return;
    is_answered = true;
    error = code;
    changed.set();
    process->host().wake();
  }
};

ProcessNetwork::ProcessNetwork(Fabric& fabric, Host& host) : fabric_(fabric), host_(host) {}

ProcessNetwork::~ProcessNetwork() {
  UMBRA_ASSERT(acceptors_.empty());
  for (auto& weak : dials_)
    if (auto dialing = weak.lock()) dialing->process = nullptr;
  for (auto& [key, connection] : connections_) connection->sides[key.second].process = nullptr;
}

void ProcessNetwork::dial(const std::shared_ptr<Dial>& dial, Duration wait) {
  if (dial->process == nullptr || dial->is_answered) return;
  auto& fabric = dial->process->fabric_;
  auto& world = fabric.world_;
  auto from = dial->process->host_.address();
  auto arrives = world.now() + fabric.latency(from, dial->to.host);
  world.at(arrives, [&fabric, dial, from] {
    if (dial->process == nullptr || dial->is_answered) return;
    if (!fabric.can_pass(from, dial->to.host)) return;
    auto& machine = fabric.machines_[dial->to.host];
    auto listener = machine.listeners.find(dial->to.port);
    auto back = fabric.latency(dial->to.host, from);
    if (listener == machine.listeners.end()) {
      if (fabric.can_pass(dial->to.host, from))
        fabric.world_.after(back, [dial] { dial->answer(asio::error::connection_refused); });
      return;
    }
    if (listener->second->is_full()) return;
    if (!dial->connection) {
      auto& server = listener->second->process();
      auto connection = std::make_shared<Connection>();
      connection->number = ++fabric.connections_;
      // A small one now and then, but not so small that one ordinary message has to wait for it: a process
      // that is stopped while it waits there has decided to deliver already, and nothing could call that
      // back.
      connection->window = fabric.random_.chance(100) ? (16 << 10) + fabric.random_.below(4000) : 64 << 10;
      connection->sides[0].process = dial->process;
      connection->sides[0].address = {from, dial->process->next_port_++};
      connection->sides[1].process = &server;
      connection->sides[1].address = dial->to;
      for (int side : {0, 1}) {
        auto& process = *connection->sides[side].process;
        process.open_.insert({connection->number, side});
        process.connections_.emplace(std::pair{connection->number, side}, connection);
      }
      dial->connection = connection;
      listener->second->arrived(std::make_unique<SimStream>(server, connection, 1));
    }
    if (fabric.can_pass(dial->to.host, from)) fabric.world_.after(back, [dial] { dial->answer({}); });
  });
  // Not answered by then: sent again.
  world.at(arrives + wait, [dial, wait] {
    ProcessNetwork::dial(dial, std::min<Duration>(wait * 2, connect_retransmit_max));
  });
}

hub::Task<Result<std::unique_ptr<hub::Stream>>> ProcessNetwork::connect(Endpoint to, MonotonicTime deadline,
                                                                        std::string) {
  auto what = "connect to " + to_string(to);
  if (is_cut_) co_return failure(asio::error::make_error_code(asio::error::network_down), what);
  auto dialing = std::make_shared<Dial>(*this, to);
  std::erase_if(dials_, [](const std::weak_ptr<Dial>& d) { return d.expired(); });
  dials_.push_back(dialing);
  dial(dialing, 1s);
  host_.run_at(host_.to_world(deadline), [dialing] { dialing->answer(asio::error::timed_out); });
  while (!dialing->is_answered) co_await dialing->changed.wait();
  dialing->process = nullptr;
  auto connection = dialing->connection;
  auto error = dialing->error;
  if (!error && connection->sides[0].process == nullptr) error = asio::error::connection_reset;
  if (error) {
    // The other side may believe in a connection: half-open until it hears a reset.
    if (connection) fabric_.close_side(connection, 0);
    co_return failure(error, what);
  }
  std::unique_ptr<hub::Stream> stream = std::make_unique<SimStream>(*this, connection, 0);
  co_return stream;
}

Result<std::unique_ptr<hub::Acceptor>> ProcessNetwork::listen(const Endpoint& at) {
  auto what = "listen on " + to_string(at);
  if (is_cut_) return failure(std::errc::network_down, what);
  if (at.host != host_.address()) return failure(std::errc::address_not_available, what);
  auto& listeners = fabric_.machines_[at.host].listeners;
  if (listeners.contains(at.port)) return failure(std::errc::address_in_use, what);
  auto acceptor = std::make_unique<SimAcceptor>(*this, at);
  listeners.emplace(at.port, acceptor.get());
  return acceptor;
}

void ProcessNetwork::kill() {
  cut(false);
}
void ProcessNetwork::vanish() {
  cut(true);
}

void ProcessNetwork::cut(bool silently) {
  if (is_cut_) return;
  is_cut_ = true;
  auto connections = std::move(connections_);
  connections_.clear();
  open_.clear();
  for (auto* acceptor : std::vector(acceptors_)) acceptor->close();
  for (auto& [key, connection] : connections) {
    auto& side = connection->sides[key.second];
    if (silently) {
      side.is_closed = true;
      side.process = nullptr;
      side.received.clear();
      side.received_taken = 0;
      if (side.is_stuck) side.out.clear();  // what was not on the wire yet
    } else {
      fabric_.close_side(connection, key.second);
    }
    if (side.stream != nullptr) side.stream->wake();
  }
  for (auto& weak : dials_)
    if (auto dialing = weak.lock()) dialing->answer(asio::error::network_down);
  dials_.clear();
}

hub::Task<Result<std::vector<std::string>>> SimResolver::addresses(std::string host) {
  if (!host.empty() && host.find_first_not_of("0123456789.") == std::string::npos) {
    std::vector<std::string> itself{host};
    co_return itself;
  }
  hub::Timer timer(host_.io());
  co_await timer.wait_for(random_.between(200us, 20ms));
  auto found = names_.hosts.find(host);
  std::vector<std::string> addresses;
  if (host.ends_with("hubs.test")) {
    if (names_.trouble == Names::Trouble::fails) co_return failure(std::errc::timed_out, "resolve " + host);
    if (names_.trouble == Names::Trouble::empty) co_return addresses;
  }
  if (found != names_.hosts.end()) addresses = found->second;
  co_return addresses;
}

hub::Task<Result<std::vector<hub::ServiceTarget>>> SimResolver::services(std::string name) {
  hub::Timer timer(host_.io());
  co_await timer.wait_for(random_.between(200us, 20ms));
  if (names_.trouble == Names::Trouble::fails) co_return failure(std::errc::timed_out, "SRV " + name);
  auto found = names_.services.find(name);
  std::vector<hub::ServiceTarget> targets;
  if (found != names_.services.end() && names_.trouble == Names::Trouble::none) targets = found->second;
  co_return targets;
}

hub::Task<Result<std::vector<hub::MailExchanger>>> SimResolver::mail_exchangers(std::string domain) {
  hub::Timer timer(host_.io());
  co_await timer.wait_for(random_.between(200us, 20ms));
  auto found = names_.exchangers.find(domain);
  std::vector<hub::MailExchanger> exchangers;
  if (found != names_.exchangers.end()) exchangers = found->second;
  co_return exchangers;
}

}  // namespace umbra::simulation
