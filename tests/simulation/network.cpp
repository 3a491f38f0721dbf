#include "tests/simulation/network.h"

#include <algorithm>
#include <boost/asio/error.hpp>

#include "tests/simulation/stream.h"

namespace umbra::simulation {
Fabric::Fabric(World& world) : world_(world), random_(world.random().fork("network")) {}
Fabric::~Fabric() = default;

Fabric::Link& Fabric::link(const std::string& from, const std::string& to) {
  auto [it, is_new] = links_.try_emplace({from, to});
  if (is_new) {
    // Mostly a local network, sometimes a distant one. Drawn by name: the order of first use does not matter.
    auto random = world_.random().fork("link " + std::min(from, to) + " " + std::max(from, to));
    it->second.base = random.chance(150) ? random.between(5ms, 40ms) : random.between(50us, 2ms);
    it->second.jitter = it->second.base / 2;
  }
  return it->second;
}

Duration Fabric::latency(const std::string& from, const std::string& to) {
  auto& l = link(from, to);
  auto span = l.base + random_.between(Duration{0}, l.jitter);
  return span + machines_[from].extra + machines_[to].extra;
}

bool Fabric::can_pass(const std::string& from, const std::string& to) const {
  if (is_blocked(from, to)) return false;
  auto machine = machines_.find(to);
  return machine == machines_.end() || machine->second.is_on;
}

bool Fabric::is_blocked(const std::string& from, const std::string& to) const {
  auto l = links_.find({from, to});
  return l != links_.end() && l->second.blocked > 0;
}

void Fabric::block(const std::string& from, const std::string& to) {
  ++link(from, to).blocked;
}

void Fabric::allow(const std::string& from, const std::string& to, PartitionEnd end) {
  auto& l = link(from, to);
  UMBRA_ASSERT(l.blocked > 0);
  if (--l.blocked > 0) return;
  release_stuck(
      [&](Connection& c, int side) {
        return c.sides[side].address.host == from && c.sides[1 - side].address.host == to;
      },
      end);
}

void Fabric::slow_down(const std::string& machine, Duration extra) {
  machines_[machine].extra = extra;
}

void Fabric::make_lossy(const std::string& machine, std::set<std::string> others) {
  machines_[machine].lossy_with = std::move(others);
}

bool Fabric::is_lossy(const std::string& from, const std::string& to) const {
  auto is_with = [this](const std::string& a, const std::string& b) {
    auto machine = machines_.find(a);
    return machine != machines_.end() && machine->second.lossy_with.contains(b);
  };
  return is_with(from, to) || is_with(to, from);
}

void Fabric::break_connection(const std::shared_ptr<Connection>& connection) {
  for (int side : {0, 1}) {
    connection->sides[side].out.clear();
    connection->sides[side].withheld = 0;
    world_.after(Duration{0}, [this, connection, side] {
      arrive(connection, side, {{}, Side::Packet::Kind::reset, {}, {}});
    });
  }
}

void Fabric::power_off(const std::string& machine) {
  machines_[machine].is_on = false;
}

void Fabric::power_on(const std::string& machine) {
  machines_[machine].is_on = true;
  release_stuck([&](Connection& c, int side) { return c.sides[1 - side].address.host == machine; },
                PartitionEnd::resume);
}

std::size_t Fabric::open_connections_to(std::uint16_t port) const {
  std::size_t count = 0;
  for (const auto& [address, machine] : machines_) {
    auto listener = machine.listeners.find(port);
    if (listener == machine.listeners.end()) continue;
    for (const auto& [key, connection] : listener->second->process().connections_)
      if (key.second == 1 && connection->sides[1].address.port == port && !connection->sides[0].is_closed &&
          !connection->sides[1].is_closed)
        ++count;
  }
  return count;
}

void Fabric::release_stuck(const std::function<bool(Connection&, int)>& is_concerned, PartitionEnd end) {
  auto all = std::move(stuck_);
  stuck_.clear();
  for (auto& entry : all) {
    auto connection = entry.first;
    int from = entry.second;
    auto& side = connection->sides[from];
    if (!is_concerned(*connection, from) ||
        !can_pass(side.address.host, connection->sides[1 - from].address.host)) {
      stuck_.emplace_back(connection, from);
      continue;
    }
    side.is_stuck = false;
    if (end == PartitionEnd::reset) {
      side.out.clear();
      for (auto& packet_side : connection->sides) packet_side.withheld = 0;
      for (int to : {0, 1})
        world_.after(
            latency(side.address.host, connection->sides[1 - from].address.host),
            [this, connection, to] { arrive(connection, to, {{}, Side::Packet::Kind::reset, {}, {}}); });
      continue;
    }
    auto retransmit = world_.now() + random_.between(Duration{0}, Duration{400ms});
    for (auto& packet : side.out) packet.arrives = std::max(packet.arrives, retransmit);
    if (auto octets = std::exchange(connection->sides[1 - from].withheld, 0); octets > 0)
      acknowledge(connection, from, octets);
    if (!side.out.empty()) {
      side.is_pumping = true;
      world_.at(side.out.front().arrives, [this, connection, from] { pump(connection, from); });
    }
  }
}

void Fabric::send(const std::shared_ptr<Connection>& connection, int from_side, Side::Packet::Kind kind,
                  std::string octets) {
  auto& from = connection->sides[from_side];
  auto& to = connection->sides[1 - from_side];
  auto arrives = world_.now() + latency(from.address.host, to.address.host);
  if (kind == Side::Packet::Kind::data && is_lossy(from.address.host, to.address.host)) {
    if (random_.chance(60)) arrives += random_.between(Duration{0}, Duration{6s});
    if (random_.chance(15))
      world_.after(random_.between(Duration{0}, Duration{3ms}),
                   [this, connection] { break_connection(connection); });
  }
  if (!from.out.empty()) arrives = std::max(arrives, from.out.back().arrives);
  if (on_send_ && !octets.empty()) on_send_(from.address, to.address, octets);
  from.unacknowledged += octets.size();
  octets_ += octets.size();
  from.out.push_back({arrives, kind, std::move(octets), world_.now()});
  if (from.is_pumping || from.is_stuck) return;
  from.is_pumping = true;
  world_.at(arrives, [this, connection, from_side] { pump(connection, from_side); });
}

void Fabric::pump(const std::shared_ptr<Connection>& connection, int from_side) {
  auto& from = connection->sides[from_side];
  auto& to = connection->sides[1 - from_side];
  from.is_pumping = false;
  if (from.out.empty()) return;
  if (!can_pass(from.address.host, to.address.host)) {
    if (!from.is_stuck) {
      from.is_stuck = true;
      stuck_.emplace_back(connection, from_side);
    }
    return;
  }
  while (!from.out.empty() && from.out.front().arrives <= world_.now()) {
    auto packet = std::move(from.out.front());
    from.out.pop_front();
    arrive(connection, 1 - from_side, std::move(packet));
  }
  if (from.out.empty() || from.is_pumping) return;
  from.is_pumping = true;
  world_.at(from.out.front().arrives, [this, connection, from_side] { pump(connection, from_side); });
}

void Fabric::arrive(const std::shared_ptr<Connection>& connection, int to_side, Side::Packet packet) {
  auto& to = connection->sides[to_side];
  auto& from = connection->sides[1 - to_side];
  if (packet.kind == Side::Packet::Kind::reset) {
    if (!to.is_closed) to.error = asio::error::connection_reset;
    to.out.clear();
    if (to.stream != nullptr) to.stream->wake();
    return;
  }
  if (to.process == nullptr || to.is_closed) {
    // Nobody reads this: the kernel answers data with a reset; an end needs no answer.
    if (packet.kind == Side::Packet::Kind::data && !from.error)
      send(connection, to_side, Side::Packet::Kind::reset, {});
    return;
  }
  if (to.error) return;
  if (packet.kind == Side::Packet::Kind::end) {
    to.at_end = true;
  } else {
    to.received.append(packet.octets);
    to.newest_sent = packet.sent;
  }
  if (to.stream != nullptr) to.stream->wake();
}

void Fabric::acknowledge(const std::shared_ptr<Connection>& connection, int reader_side, std::size_t octets) {
  auto& reader = connection->sides[reader_side];
  auto& writer = connection->sides[1 - reader_side];
  if (!can_pass(reader.address.host, writer.address.host)) {
    writer.withheld += octets;
    if (!reader.is_stuck) {
      reader.is_stuck = true;
      stuck_.emplace_back(connection, reader_side);
    }
    return;
  }
  bool was_full = writer.unacknowledged >= connection->window;
  writer.unacknowledged -= std::min(octets, writer.unacknowledged);
  if (was_full && writer.stream != nullptr)
    world_.after(latency(reader.address.host, writer.address.host), [connection, side = 1 - reader_side] {
      if (auto* stream = connection->sides[side].stream) stream->wake();
    });
}

void Fabric::close_side(const std::shared_ptr<Connection>& connection, int side_number) {
  auto& side = connection->sides[side_number];
  if (side.is_closed) return;
  side.is_closed = true;
  bool has_unread = side.received.size() > side.received_taken;
  side.received.clear();
  side.received_taken = 0;
  if (side.process != nullptr) {
    side.process->open_.erase({connection->number, side_number});
    side.process->connections_.erase({connection->number, side_number});
    side.process = nullptr;
  }
  if (!side.error && !(side.at_end && connection->sides[1 - side_number].is_closed))
    send(connection, side_number, has_unread ? Side::Packet::Kind::reset : Side::Packet::Kind::end, {});
}

}  // namespace umbra::simulation
