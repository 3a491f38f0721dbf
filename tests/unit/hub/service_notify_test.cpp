// What the service manager is told, over real datagram sockets.
#include "hub/service_notify.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

namespace umbra::hub {
namespace {

/// A service manager that only listens; `name` as in $NOTIFY_SOCKET.
class Manager {
 public:
  explicit Manager(std::string name) : name_(std::move(name)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name_.data(), name_.size());
    bool is_abstract = name_[0] == '@';
    if (is_abstract) address.sun_path[0] = '\0';
    auto length =
        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size() + (is_abstract ? 0 : 1));
    descriptor_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    EXPECT_EQ(::bind(descriptor_, reinterpret_cast<const sockaddr*>(&address), length), 0);
    setenv("NOTIFY_SOCKET", name_.c_str(), 1);
  }
  ~Manager() {
    unsetenv("NOTIFY_SOCKET");
    ::close(descriptor_);
    if (name_[0] == '/') ::unlink(name_.c_str());
  }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  /// The oldest datagram, or nothing.
  std::string heard() {
    char buffer[2000];
    auto size = ::recv(descriptor_, buffer, sizeof buffer, 0);
    return size < 0 ? std::string() : std::string(buffer, static_cast<std::size_t>(size));
  }

 private:
  std::string name_;
  int descriptor_ = -1;
};

std::string path() {
  return (std::filesystem::temp_directory_path() / ("umbra-notify-" + std::to_string(getpid()))).string();
}

TEST(ServiceNotify, SaysReadyAtASocketWithAPath) {
  Manager manager(path());
  notify_ready("takes mail");
  EXPECT_EQ(manager.heard(), "READY=1\nSTATUS=takes mail\n");
}

TEST(ServiceNotify, SaysReadyAtAnAbstractSocket) {
  Manager manager("@umbra-notify-test-" + std::to_string(getpid()));
  notify_ready("takes mail");
  EXPECT_EQ(manager.heard(), "READY=1\nSTATUS=takes mail\n");
}

TEST(ServiceNotify, SaysOfAReloadWhenItBegan) {
  Manager manager(path());
  notify_reloading();
  auto heard = manager.heard();
  EXPECT_TRUE(heard.starts_with("RELOADING=1\nMONOTONIC_USEC=")) << heard;
  EXPECT_GT(std::stoull(heard.substr(std::strlen("RELOADING=1\nMONOTONIC_USEC="))), 0U);
}

TEST(ServiceNotify, AsksForTheTimeThatStoppingTakes) {
  Manager manager(path());
  notify_stopping("draining", std::chrono::seconds{90});
  EXPECT_EQ(manager.heard(), "STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=90000000\n");
}

TEST(ServiceNotify, KeepsAStatusOnOneLine) {
  Manager manager(path());
  notify_ready("a\nREADY=0");
  EXPECT_EQ(manager.heard(), "READY=1\nSTATUS=a READY=0\n");
}

TEST(ServiceNotify, DoesNothingWithoutAManager) {
  unsetenv("NOTIFY_SOCKET");
  EXPECT_FALSE(notify_service("READY=1\n"));
  EXPECT_FALSE(notify_service("relative/path", "READY=1\n"));
  EXPECT_FALSE(notify_service("/nobody/listens/here", "READY=1\n"));
  EXPECT_FALSE(notify_service("/" + std::string(200, 'x'), "READY=1\n"));
}

TEST(ServiceNotify, FeedsTheWatchdogTwiceInItsTime) {
  Manager manager(path());
  setenv("WATCHDOG_USEC", "2000000", 1);
  setenv("WATCHDOG_PID", std::to_string(getpid()).c_str(), 1);
  ServiceWatchdog watchdog;
  MonotonicTime start{};
  watchdog.tick(start);
  EXPECT_EQ(manager.heard(), "WATCHDOG=1\n");
  watchdog.tick(start + std::chrono::milliseconds{900});
  EXPECT_EQ(manager.heard(), "");
  watchdog.tick(start + std::chrono::milliseconds{1000});
  EXPECT_EQ(manager.heard(), "WATCHDOG=1\n");

  setenv("WATCHDOG_PID", "1", 1);  // that of another process
  ServiceWatchdog others;
  others.tick(start);
  EXPECT_EQ(manager.heard(), "");
  unsetenv("WATCHDOG_USEC");
  unsetenv("WATCHDOG_PID");
}

}  // namespace
}  // namespace umbra::hub
