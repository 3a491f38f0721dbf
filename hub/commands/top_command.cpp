// `umbra top`: the cluster, each second anew, on a terminal; ends with q, Ctrl-C, or when standard input is
// closed. --once: two looks a second apart, and the second one printed, for scripts.
#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "hub/commands/asking.h"
#include "hub/commands/commands.h"
#include "hub/commands/views.h"

namespace umbra::hub {
namespace {

struct TopOptions : AdminOptions {
  bool once = false;
  int interval = 1;
};

volatile std::sig_atomic_t is_ended = 0;

/// Keys come at once and unseen, on a screen of its own; as it was before when this is gone.
class LiveTerminal {
 public:
  LiveTerminal() {
    has_keys_ = ::tcgetattr(STDIN_FILENO, &before_) == 0;
    if (has_keys_) {
      auto raw = before_;
      raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
      ::tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    struct sigaction action{};
    action.sa_handler = [](int) { is_ended = 1; };
    for (int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(signal, &action, nullptr);
    std::fputs("\x1b[?1049h\x1b[?25l", stdout);
  }
  ~LiveTerminal() {
    if (has_keys_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
    std::fputs("\x1b[?25h\x1b[?1049l", stdout);
    std::fflush(stdout);
  }
  LiveTerminal(const LiveTerminal&) = delete;
  LiveTerminal& operator=(const LiveTerminal&) = delete;

  /// False: it is to end.
  [[nodiscard]] bool wait(int milliseconds) const {
    pollfd keys{STDIN_FILENO, POLLIN, 0};
    if (::poll(&keys, has_keys_ ? 1 : 0, milliseconds) < 0) return errno == EINTR && is_ended == 0;
    if (is_ended != 0) return false;
    if (!has_keys_ || keys.revents == 0) return true;
    char key = 0;
    const auto got = ::read(STDIN_FILENO, &key, 1);
    return got == 1 && key != 'q' && key != 'Q' && key != 3 && key != 4;
  }

 private:
  termios before_{};
  bool has_keys_ = false;
};

std::expected<TopSample, int> look(const TopOptions& options) {
  auto answer = ask(options, "GET", "/v1/cluster/status");
  if (!answer) return std::unexpected(answer.error());
  return TopSample{std::chrono::duration<double>(MonotonicClock::now().time_since_epoch()).count(),
                   std::move(*answer)};
}

int once(const TopOptions& options) {
  auto before = look(options);
  if (!before) return before.error();
  ::poll(nullptr, 0, options.interval * 1000);
  auto now = look(options);
  if (!now) return now.error();
  auto screen = Screen::of_output();
  screen.lines = 0;
  return show(options, now->answer,
              [&](const Json&) { return top_view(&*before, *now, WallClock::now(), screen); });
}

int live(const TopOptions& options) {
  std::optional<TopSample> before;
  int code = done;
  {
    LiveTerminal terminal;
    do {
      auto now = look(options);
      if (!now) {
        code = is_ended != 0 ? static_cast<int>(done) : now.error();
        break;
      }
      const auto screen = Screen::of_output();
      auto text = top_view(before ? &*before : nullptr, *now, WallClock::now(), screen);
      // Line by line over what is there, so that nothing flickers; what is left below goes.
      std::string painted = "\x1b[H";
      for (char c : text) painted += c == '\n' ? "\x1b[K\n" : std::string(1, c);
      painted += "\x1b[J\x1b[2mq: end\x1b[0m";
      std::fputs(painted.c_str(), stdout);
      std::fflush(stdout);
      before = std::move(*now);
    } while (terminal.wait(options.interval * 1000));
  }
  return code;
}

}  // namespace

void add_top_command(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<TopOptions>();
  auto* command = app.add_subcommand(
      "top",
      "The hubs of the cluster at a glance, each second anew: rates, queues, copies. q or Ctrl-C ends it");
  add_admin_options(command, *options);
  command->add_flag("--once", options->once,
                    "Look once, for scripts; as it is without a terminal, and for json");
  command->add_option("--interval", options->interval, "Seconds between two looks")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  command->callback([&chosen, options] {
    chosen = [options] {
      const bool is_live = !options->once && options->output == "text" && ::isatty(STDOUT_FILENO) == 1;
      return is_live ? live(*options) : once(*options);
    };
  });
}

}  // namespace umbra::hub
