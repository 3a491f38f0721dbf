// A real file system that is really full: a small tmpfs in a mount namespace of our own. Needs the right to
// mount; without it the simulated disk (spool_crash_test) is all there is.
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/unit/storage/spool_fixture.h"

namespace umbra::storage {
namespace {

namespace fs = std::filesystem;

constexpr int cannot_mount = 77;

/// In a process of its own; returns its exit code. Says on stderr what went wrong.
int fill_and_recover(const std::string& directory) {
  if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("umbra", directory.c_str(), "tmpfs", 0, "size=4m") != 0) {
    return cannot_mount;
  }
  auto fail = [](const std::string& what) {
    std::fprintf(stderr, "%s\n", what.c_str());
    return 1;
  };
  SpoolBox box({.directory = directory, .vfs = ""});
  if (auto opened = box.open(); !opened) return fail(opened.error().what);
  std::vector<RowId> accepted;
  std::optional<Error> refusal;
  for (int i = 0; i < 10'000 && !refusal; ++i) {
    auto message = new_message(*box.spool, {"a@example.com"});
    auto result =
        box.write([&](Writer& writer) { return accept(writer, message, std::string(20'000, 'x')); });
    if (result) {
      accepted.push_back(message.row);
    } else {
      refusal = result.error();
    }
  }
  if (!refusal) return fail("never full");
  if (refusal->code != std::errc::no_space_on_device) return fail("full, but: " + refusal->what);
  if (box.spool->unhealthy()) return fail("unhealthy: " + box.spool->unhealthy()->what);
  if (accepted.size() < 10) return fail("full too early");
  // Somebody makes space: it goes on by itself, and nothing is lost.
  if (mount(nullptr, directory.c_str(), nullptr, MS_REMOUNT, "size=64m") != 0) return cannot_mount;
  auto late = new_message(*box.spool, {"a@example.com"});
  auto result = box.write([&](Writer& writer) { return accept(writer, late); });
  if (!result) return fail("with space: " + result.error().what);
  accepted.push_back(late.row);
  box.close();
  if (auto opened = box.open(); !opened) return fail(opened.error().what);
  auto rows = box.read([](Reader& reader) { return reader.messages(RowId{0}, RowId{INT64_MAX}, 100'000); });
  if (!rows || *rows != accepted) return fail("not what was accepted");
  box.close();
  return 0;
}

TEST(FullFileSystem, RefusesThenGoesOnWhenThereIsSpaceAgain) {
  std::string directory = (fs::temp_directory_path() / "umbra-full-XXXXXX").string();
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  auto child = fork();
  if (child == 0) _exit(fill_and_recover(directory));
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  fs::remove_all(directory);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  if (WEXITSTATUS(status) == cannot_mount) GTEST_SKIP() << "no right to mount a file system";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace umbra::storage
