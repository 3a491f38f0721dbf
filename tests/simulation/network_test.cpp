#include "tests/simulation/stream.h"

#include <gtest/gtest.h>

#include <boost/asio/error.hpp>
#include <optional>

namespace umbra::simulation {
namespace {

// A machine that echoes and one that talks to it, with everything they saw.
struct Pair {
  World world{11, false};
  Fabric fabric{world};
  Host near{world, "near", "10.0.0.1", {}};
  Host far{world, "far", "10.0.0.2", {}};
  std::unique_ptr<ProcessNetwork> near_net = std::make_unique<ProcessNetwork>(fabric, near);
  std::unique_ptr<ProcessNetwork> far_net = std::make_unique<ProcessNetwork>(fabric, far);
  std::unique_ptr<hub::Acceptor> acceptor;
  std::unique_ptr<hub::Stream> stream;
  std::optional<ErrorCode> connect_error;
  std::optional<ErrorCode> end;
  std::string heard;
  bool echoes = true;
  std::string server_heard;
  std::vector<std::unique_ptr<hub::Stream>> served;
  hub::TaskScope near_tasks{near.io()};
  hub::TaskScope far_tasks{far.io()};

  ~Pair() {
    near_net->kill();
    far_net->kill();
    world.run_until(world.now() + 1h);
    stream.reset();
    served.clear();
    acceptor.reset();
  }

  hub::Task<void> serve() {
    for (;;) {
      auto got = co_await acceptor->accept();
      if (!got) break;
      served.push_back(std::move(*got));
      far_tasks.spawn("echo", echo(*served.back()));
    }
  }
  hub::Task<void> echo(hub::Stream& s) {
    char buffer[512];
    for (;;) {
      auto got = co_await s.read_some(asio::buffer(buffer));
      if (got.error) break;
      server_heard.append(buffer, got.octets);
      if (echoes && co_await s.write(std::string_view(buffer, got.octets))) break;
    }
  }
  hub::Task<void> open(Duration limit) {
    auto got = co_await near_net->connect({"10.0.0.2", 25}, MonotonicClock::now() + limit);
    if (got) stream = std::move(*got);
    connect_error = got ? ErrorCode{} : ErrorCode(got.error().code.value(), boost::system::system_category());
  }
  hub::Task<void> say(std::string text) { co_await stream->write(text); }
  hub::Task<void> listen_to() {
    char buffer[512];
    for (;;) {
      auto got = co_await stream->read_some(asio::buffer(buffer));
      if (got.error) {
        end = got.error;
        break;
      }
      heard.append(buffer, got.octets);
    }
  }
  void start_server() {
    far.run([this] {
      acceptor = std::move(*far_net->listen({"10.0.0.2", 25}));
      far_tasks.spawn("serve", serve());
    });
  }
  void connect(Duration limit = 10s) {
    near.run([this, limit] { near_tasks.spawn("open", open(limit)); });
  }
  void connect_and_listen() {
    connect();
    world.run_until(world.now() + 1s);
    ASSERT_TRUE(stream);
    near.run([this] { near_tasks.spawn("listen", listen_to()); });
  }
  void send(std::string text) {
    near.run([this, text] { near_tasks.spawn("say", say(text)); });
  }
  void pass(Duration span) { world.run_until(world.now() + span); }
};

TEST(Network, CarriesOctetsInOrderThroughSmallWindows) {
  Pair pair;
  pair.start_server();
  pair.connect_and_listen();
  std::string text;
  for (int i = 0; i < 30'000; ++i) text += std::to_string(i) + ",";
  pair.send(text);
  pair.pass(60s);
  EXPECT_EQ(pair.heard, text);
}

TEST(Network, RefusesWhereNobodyListens) {
  Pair pair;
  pair.connect();
  pair.pass(100ms);
  EXPECT_EQ(pair.connect_error, ErrorCode(asio::error::connection_refused));
}

TEST(Network, ConnectionToADeadMachineEndsAtTheDeadline) {
  Pair pair;
  pair.start_server();
  pair.far_net->vanish();
  pair.fabric.power_off("10.0.0.2");
  pair.connect(10s);
  pair.pass(9900ms);
  EXPECT_FALSE(pair.connect_error);
  pair.pass(200ms);
  EXPECT_EQ(pair.connect_error, ErrorCode(asio::error::timed_out));
}

TEST(Network, PartitionHoldsOctetsUntilItEnds) {
  Pair pair;
  pair.start_server();
  pair.connect_and_listen();
  pair.fabric.block("10.0.0.1", "10.0.0.2");
  pair.send("hello");
  pair.pass(60s);
  EXPECT_EQ(pair.heard, "");
  EXPECT_FALSE(pair.end);
  pair.fabric.allow("10.0.0.1", "10.0.0.2", PartitionEnd::resume);
  pair.pass(2s);
  EXPECT_EQ(pair.heard, "hello");
}

TEST(Network, OneWayPartitionLetsTheOtherWayThrough) {
  Pair pair;
  pair.start_server();
  pair.connect_and_listen();
  pair.fabric.block("10.0.0.2", "10.0.0.1");
  pair.send("hello");
  pair.pass(10s);
  EXPECT_EQ(pair.server_heard, "hello");
  EXPECT_EQ(pair.heard, "");
  pair.fabric.allow("10.0.0.2", "10.0.0.1", PartitionEnd::resume);
  pair.pass(2s);
  EXPECT_EQ(pair.heard, "hello");
}

TEST(Network, WriterBehindAPartitionWaitsWhenTheWindowIsFull) {
  Pair pair;
  pair.echoes = false;
  pair.start_server();
  pair.connect_and_listen();
  pair.fabric.block("10.0.0.1", "10.0.0.2");
  pair.send(std::string(200'000, 'x'));
  pair.pass(10s);
  EXPECT_EQ(pair.near_tasks.running(), 2U);  // the reader and a writer that waits
  pair.fabric.allow("10.0.0.1", "10.0.0.2", PartitionEnd::resume);
  pair.pass(10s);
  EXPECT_EQ(pair.server_heard.size(), 200'000U);
  EXPECT_EQ(pair.near_tasks.running(), 1U);
}

TEST(Network, PartitionThatForgetsConnectionsEndsInAReset) {
  Pair pair;
  pair.start_server();
  pair.connect_and_listen();
  pair.fabric.block("10.0.0.1", "10.0.0.2");
  pair.send("hello");
  pair.pass(5s);
  pair.fabric.allow("10.0.0.1", "10.0.0.2", PartitionEnd::reset);
  pair.pass(2s);
  EXPECT_EQ(pair.end, ErrorCode(asio::error::connection_reset));
  EXPECT_EQ(pair.server_heard, "");
}

TEST(Network, KilledProcessClosesItsConnections) {
  Pair pair;
  pair.start_server();
  pair.connect_and_listen();
  pair.far_net->kill();
  pair.pass(1s);
  EXPECT_EQ(pair.end, ErrorCode(asio::error::eof));
}

// What a process has written is its machine's: it comes after the process is dead, however late. Only then is
// it left behind.
TEST(Network, BringsWhatADeadProcessHadWritten) {
  Pair pair;
  pair.start_server();
  pair.connect_and_listen();
  auto left_behind = [&] { return dynamic_cast<SimStream&>(*pair.served.back()).left_behind_at(); };
  pair.send("alive. ");
  pair.pass(1s);
  EXPECT_EQ(pair.server_heard, "alive. ");
  EXPECT_FALSE(left_behind());
  pair.fabric.block("10.0.0.1", "10.0.0.2");
  auto sent = pair.world.now();
  pair.send("last words");
  pair.pass(20s);
  pair.near_net->kill();
  pair.pass(20s);
  EXPECT_EQ(pair.server_heard, "alive. ");
  pair.fabric.allow("10.0.0.1", "10.0.0.2", PartitionEnd::resume);
  pair.pass(1s);
  EXPECT_EQ(pair.server_heard, "alive. last words");
  ASSERT_TRUE(left_behind());
  EXPECT_LT(*left_behind() - sent, 1ms);
}

TEST(Network, MachineWithoutPowerSaysNothingUntilItIsBackAndThenResets) {
  Pair pair;
  pair.start_server();
  pair.connect_and_listen();
  pair.far_net->vanish();
  pair.fabric.power_off("10.0.0.2");
  pair.send("anybody there?");
  pair.pass(300s);
  EXPECT_FALSE(pair.end);
  pair.fabric.power_on("10.0.0.2");
  pair.pass(2s);
  EXPECT_EQ(pair.end, ErrorCode(asio::error::connection_reset));
}

TEST(Network, PausedProcessHearsLater) {
  Pair pair;
  pair.start_server();
  pair.connect_and_listen();
  pair.far.pause();
  pair.send("hello");
  pair.pass(30s);
  EXPECT_EQ(pair.server_heard, "");
  pair.far.resume();
  pair.pass(1s);
  EXPECT_EQ(pair.heard, "hello");
}

}  // namespace
}  // namespace umbra::simulation
