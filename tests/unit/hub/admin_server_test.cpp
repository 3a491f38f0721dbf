// The admin server over real sockets: who may connect, slow and rude clients, files left behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <list>
#include <thread>

#include "hub/admin/admin_server.h"
#include "hub/admin/client.h"
#include "hub/admin/drain_view.h"
#include "hub/admin/http_session.h"
#include "hub/logs/memory_log.h"
#include "hub/net/socket_stream.h"
#include "tests/unit/hub/fake_admin_backend.h"

namespace umbra::hub {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

/// A server on a thread of its own.
class AdminServerTest : public testing::Test {
 protected:
  AdminServerTest() {
    std::string pattern = testing::TempDir() + "umbra_admin_XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    config_.socket = folder_ + "/admin.sock";
    config_.address = Endpoint{"127.0.0.1", 0};
    backend_.add(1);
  }
  ~AdminServerTest() override {
    if (server_) finish();
    std::filesystem::remove_all(folder_);
  }

  void begin() {
    auto server = AdminServer::start(io_, config_, backend_, log_);
    ASSERT_TRUE(server) << server.error().what;
    server_ = std::move(*server);
    io_.restart();
    thread_ = std::thread([this] { io_.run(); });
  }
  void finish() {
    asio::post(io_, [this] { asio::co_spawn(io_, server_->stop(), [](const std::exception_ptr&) {}); });
    thread_.join();
    server_.reset();
  }
  /// Sends octets over TCP as they are; what comes back until the server closes.
  std::string exchange(const std::string& octets, bool close_after = true) {
    asio::io_context io;
    asio::ip::tcp::socket socket(io);
    socket.connect({asio::ip::make_address("127.0.0.1"), server_->address()->port});
    ErrorCode error;
    asio::write(socket, asio::buffer(octets), error);
    if (close_after) socket.shutdown(asio::socket_base::shutdown_send, error);
    std::string answer;
    asio::read(socket, asio::dynamic_buffer(answer), error);
    return answer;
  }

  asio::io_context io_;
  std::string folder_;
  AdminConfig config_;
  FakeAdminBackend backend_;
  MemoryLog log_{"hub-a"};
  std::unique_ptr<AdminServer> server_;
  std::thread thread_;
};

TEST_F(AdminServerTest, AnswersCommandsOnItsSocketOnly) {
  begin();
  auto answer = ask_hub(config_.socket, "GET", "/v1/status");
  ASSERT_TRUE(answer) << answer.error().what;
  EXPECT_EQ(answer->status, 200U);
  EXPECT_THAT(answer->body, HasSubstr("\"hub\":\"hub-a\""));
  EXPECT_EQ(ask_hub(config_.socket, "POST", "/v1/queue/0000000000001234-1/hold")->status, 200U);
  EXPECT_THAT(exchange("GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(exchange("GET /healthz/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              StartsWith("HTTP/1.1 200"));
}

TEST_F(AdminServerTest, KeepsItsSocketFileToItsUser) {
  begin();
  struct stat status{};
  ASSERT_EQ(::stat(config_.socket.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST_F(AdminServerTest, AnswersSeveralRequestsOnOneConnection) {
  begin();
  auto answer = exchange(
      "GET /healthz/live HTTP/1.1\r\nHost: x\r\n\r\nHEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
      "GET /healthz/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  std::size_t count = 0;
  for (auto at = answer.find("HTTP/1.1 200"); at != std::string::npos;
       at = answer.find("HTTP/1.1 200", at + 1))
    ++count;
  EXPECT_EQ(count, 3U);
  EXPECT_EQ(answer.find("umbra_ready"), std::string::npos) << "HEAD has no body";
}

TEST_F(AdminServerTest, RefusesWhatIsNotHttpAndWhatIsTooLarge) {
  begin();
  EXPECT_THAT(exchange("EHLO example.com\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(exchange(std::string("\x16\x03\x01\x02\x00\r\n\r\n", 9)), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(exchange("GET /" + std::string(20'000, 'x') + " HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(exchange("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  EXPECT_TRUE(ask_hub(config_.socket, "GET", "/v1/status"));
}

TEST_F(AdminServerTest, SilentConnectionsKeepNobodyOut) {
  begin();
  asio::io_context io;
  std::vector<asio::ip::tcp::socket> silent;
  for (int i = 0; i < 70; ++i) {
    silent.emplace_back(io);
    silent.back().connect({asio::ip::make_address("127.0.0.1"), server_->address()->port});
  }
  // The oldest one has gone in favour of the newest; were it held, this would wait for 30 seconds.
  char octet = 0;
  ErrorCode error;
  asio::read(silent.front(), asio::buffer(&octet, 1), error);
  EXPECT_EQ(error, asio::error::eof);
  EXPECT_THAT(exchange("GET /healthz/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
              StartsWith("HTTP/1.1 200"));
}

TEST_F(AdminServerTest, AnswersCommandsOverTcpToThoseWithATokenByItsRole) {
  auto tokens = parse_admin_tokens("");
  EXPECT_FALSE(tokens);
  // sha256 of "reader" and of "writer".
  config_.tokens =
      "mon:read:3d0941964aa3ebdcb00ccef58b1bb399f9f898465e9886d5aec7f31090a0fb30\n"
      "ops:write:b93006774cbdd4b299389a03ac3d88c3a76b460d538795bc12718011a909fba5\n";
  begin();
  auto ask = [&](const std::string& request, const std::string& token) {
    return exchange(request + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" +
                    (token.empty() ? "" : "Authorization: Bearer " + token + "\r\n") + "\r\n");
  };
  EXPECT_THAT(ask("GET /v1/status", ""),
              AllOf(StartsWith("HTTP/1.1 401"), HasSubstr("WWW-Authenticate: Bearer")));
  EXPECT_THAT(ask("GET /v1/status", "else"), StartsWith("HTTP/1.1 401"));
  EXPECT_THAT(ask("GET /v1/nothing", ""), StartsWith("HTTP/1.1 401")) << "strangers are told of no path";
  EXPECT_THAT(ask("GET /v1/status", "reader"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(ask("POST /v1/drain?verb=leave", "reader"), StartsWith("HTTP/1.1 403"));
  EXPECT_TRUE(backend_.fake_drain.orders.empty());
  EXPECT_THAT(ask("POST /v1/drain?verb=leave", "writer"), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(backend_.fake_drain.orders.size(), 1U);
  EXPECT_THAT(ask("GET /healthz/live", ""), StartsWith("HTTP/1.1 200"));
}

TEST_F(AdminServerTest, StopsWithAClientThatSaysNothing) {
  begin();
  asio::io_context io;
  asio::local::stream_protocol::socket silent(io);
  silent.connect(asio::local::stream_protocol::endpoint(config_.socket));
  ASSERT_TRUE(ask_hub(config_.socket, "GET", "/v1/status"));
  finish();
  EXPECT_FALSE(std::filesystem::exists(config_.socket));
}

TEST_F(AdminServerTest, ReplacesTheSocketOfADeadHubButNotOfALivingOne) {
  begin();
  asio::io_context io;
  auto second = AdminServer::start(io, config_, backend_, log_);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().what, HasSubstr("another hub answers"));
  EXPECT_TRUE(ask_hub(config_.socket, "GET", "/v1/status")) << "the living hub keeps its socket";
  finish();

  {
    asio::local::stream_protocol::acceptor dead(io, asio::local::stream_protocol::endpoint(config_.socket));
  }
  ASSERT_TRUE(std::filesystem::exists(config_.socket));
  io_.restart();
  begin();
  EXPECT_TRUE(ask_hub(config_.socket, "GET", "/v1/status"));
}

TEST_F(AdminServerTest, LeavesAFileOfAnotherKindAlone) {
  std::ofstream(config_.socket) << "precious";
  auto server = AdminServer::start(io_, config_, backend_, log_);
  ASSERT_FALSE(server);
  EXPECT_THAT(server.error().what, HasSubstr("a file of another kind"));
  EXPECT_EQ(std::filesystem::file_size(config_.socket), 8U);
}

TEST_F(AdminServerTest, TellsTheClientThatNoHubIsThere) {
  auto answer = ask_hub(folder_ + "/nobody.sock", "GET", "/v1/status");
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().what, HasSubstr("nobody.sock: No such file or directory"));
}

// A hub whose epoch was ended is another one for a moment, in the same process.
TEST_F(AdminServerTest, FollowsADrainOverTheNextRunOfTheHub) {
  DrainCommand command;
  command.socket = config_.socket;
  command.verb = "leave";
  auto& fake = backend_.fake_drain;
  fake.now.order.verb = cluster::DrainVerb::leave;
  for (bool is_back : {true, false}) {
    fake.now.state = cluster::DrainState::handing_over;
    fake.now.exit_code = 4;
    begin();
    auto code = std::async(std::launch::async, run_drain, command);
    EXPECT_EQ(code.wait_for(500ms), std::future_status::timeout);
    finish();
    auto away = MonotonicClock::now();
    if (is_back) {
      EXPECT_EQ(code.wait_for(1s), std::future_status::timeout) << "it is asked again";
      fake.now.state = cluster::DrainState::left;
      fake.now.exit_code = 0;
      begin();
      EXPECT_EQ(code.get(), 0);
      finish();
    } else {
      EXPECT_EQ(code.get(), 1) << "and not for ever";
      EXPECT_GE(MonotonicClock::now() - away, 4s);
      EXPECT_LT(MonotonicClock::now() - away, 15s);
    }
  }
}

TEST_F(AdminServerTest, DoesNotLetTheClientWaitForEver) {
  asio::io_context io;
  asio::local::stream_protocol::acceptor deaf(io, asio::local::stream_protocol::endpoint(config_.socket));
  auto answer = ask_hub(config_.socket, "GET", "/v1/status", 50ms);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, std::errc::timed_out);
}

/// A client that says something, and what it hears until the connection ends.
class SlowClient {
 public:
  SlowClient(asio::io_context& io, TaskScope& tasks, std::string says, bool goes_on = false) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
    SocketStream<asio::local::stream_protocol>::Socket near(io.get_executor());
    near.assign(asio::local::stream_protocol(), ends[1]);
    session_ = std::make_shared<HttpSession>(
        io, tasks, std::make_unique<SocketStream<asio::local::stream_protocol>>(std::move(near), Endpoint{}),
        HttpLimits{.request_timeout = 300ms});
    tasks.spawn("session", serve());
    end_ = std::async(std::launch::async, listen, ends[0], std::move(says), goes_on);
  }
  struct Heard {
    std::string text;
    Duration after{};
  };
  Heard heard() { return end_.get(); }
  std::vector<unsigned> refused;

 private:
  static Heard listen(int socket, std::string says, bool goes_on) {
    const auto began = MonotonicClock::now();
    EXPECT_EQ(::send(socket, says.data(), says.size(), MSG_NOSIGNAL), static_cast<ssize_t>(says.size()));
    std::string text;
    std::array<char, 512> octets{};
    for (ssize_t got = 1; got != 0 && MonotonicClock::now() - began < 8s;) {
      if (goes_on) (void)::send(socket, "x", 1, MSG_NOSIGNAL);
      got = ::recv(socket, octets.data(), octets.size(), MSG_DONTWAIT);
      if (got < 0 && errno != EAGAIN) break;
      if (got > 0) text.append(octets.data(), static_cast<std::size_t>(got));
      if (got < 0) std::this_thread::sleep_for(5ms);
    }
    ::close(socket);
    return {text, MonotonicClock::now() - began};
  }
  Task<void> serve() {
    co_await session_->run({[](std::shared_ptr<HttpSession>, HttpRequest) -> Task<ApiResponse> {
                              co_return ApiResponse{.body = "fine"};
                            },
                            [this](unsigned status) { refused.push_back(status); }});
    session_->close();
  }
  std::shared_ptr<HttpSession> session_;
  std::future<Heard> end_;
};

TEST(HttpSession, TellsWhoBeginsARequestAndDoesNotEndItThatItIsLate) {
  asio::io_context io;
  TaskScope tasks(io);
  std::list<SlowClient> late;
  late.emplace_back(io, tasks, "GE");
  late.emplace_back(io, tasks, "GET /v1/status HTTP/1.1\r\nHost: h\r\nAccept: te");
  late.emplace_back(io, tasks, "POST /v1/reload HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
  late.emplace_back(io, tasks, "GET /v1/status HTTP/1.1\r\nHost: h\r\nX: ", true);
  late.emplace_back(io, tasks, "GET /v1/status HTTP/1.1\r\nHost: h\r\n\r\nGET /v1/st");
  std::list<SlowClient> silent;
  silent.emplace_back(io, tasks, "");
  silent.emplace_back(io, tasks, "GET /v1/status HTTP/1.1\r\nHost: h\r\n\r\n");
  io.run_for(10s);
  EXPECT_EQ(tasks.running(), 0U);
  std::string last;
  for (auto& client : late) {
    const auto heard = client.heard();
    last = heard.text;
    EXPECT_THAT(heard.text, HasSubstr("HTTP/1.1 408 Request Timeout\r\n"));
    EXPECT_THAT(heard.text, HasSubstr("Connection: close\r\n"));
    EXPECT_EQ(client.refused, std::vector<unsigned>{408});
    EXPECT_LT(heard.after, 5s) << "who says still more is not heard for ever";
  }
  EXPECT_THAT(last, StartsWith("HTTP/1.1 200 OK\r\n")) << "the one before was answered";
  for (auto& client : silent) {
    const auto heard = client.heard();
    EXPECT_THAT(heard.text, Not(HasSubstr("408"))) << "it has begun none";
    EXPECT_LT(heard.after, 2s);
  }
}

}  // namespace
}  // namespace umbra::hub
