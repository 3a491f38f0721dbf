// What the umbra commands print: from real reports of the API, harmless for a terminal.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hub/admin/report.h"
#include "hub/admin/text_view.h"
#include "tests/unit/hub/fake_admin_backend.h"

namespace umbra::hub {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr WallTime now{1'700'000'000s};

TEST(TextView, ShowsTheQueueAsATable) {
  FakeAdminBackend backend;
  backend.add(1, 3);
  auto& message = backend.queue[0];
  message.envelope.accepted_at = now - 10min;
  message.queue = {{"example.net", now + 90s, 4}};
  message.is_protected = false;
  Json answer = {{"messages", {message_summary(message)}}, {"next", "17"}};
  EXPECT_EQ(
      queue_view(answer, now),
      "ID                  STATE   AGE     SIZE    LEFT  TRIES  NEXT  COPIES  SENDER              LAST "
      "ERROR\n"
      "0000000000001234-1  queued  10 min  4.1 KB  3/3   4      90 s  2 (!)   sender@example.com  451 later\n"
      "... there are more; continue with --after 17\n");
  EXPECT_EQ(queue_view({{"messages", Json::array()}, {"next", nullptr}}, now), "no messages\n");
}

TEST(TextView, LetsNoControlCharacterReachTheTerminal) {
  FakeAdminBackend backend;
  backend.add(1);
  auto& message = backend.queue[0];
  message.envelope.sender = "\x1b]0;owned\x07@example.com";
  message.last_error =
      "451 \x1b[31mred \xc2\x9b"
      "31m";
  message.envelope.recipients[0].address = "a\r\nb@example.net";
  auto report = Json::parse(to_text(message_report(message, "hub-a")));
  for (const auto& text :
       {message_view(report), queue_view({{"messages", {report}}, {"next", nullptr}}, now)}) {
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
    EXPECT_THAT(text, Not(HasSubstr("\x07")));
    EXPECT_THAT(text, Not(HasSubstr("\r")));
    EXPECT_THAT(text, Not(HasSubstr("\xc2\x9b")));
  }
}

TEST(TextView, ShowsAMessageWithItsCopies) {
  FakeAdminBackend backend;
  backend.add(1, 2);
  auto text = message_view(Json::parse(to_text(message_report(backend.queue[0], "hub-a"))));
  EXPECT_THAT(text, HasSubstr("owner       hub-a\n"));
  EXPECT_THAT(text, HasSubstr("  hub-a  owner\n  hub-b  holds  0000000000000099\n"));
  EXPECT_THAT(text, HasSubstr("  r1@example.net  pending\n"));
}

TEST(TextView, ShowsAShadow) {
  FakeAdminBackend backend;
  backend.add_shadow(5);
  EXPECT_THAT(message_view(Json::parse(to_text(shadow_report(backend.held[0])))),
              HasSubstr("  b@example.net  done\n"));
  EXPECT_THAT(shadows_view({{"shadows", {shadow_summary(backend.held[0])}}, {"next", nullptr}}, now),
              HasSubstr("hub-b  0"));
}

TEST(TextView, SaysFirstWhetherTheHubTakesMail) {
  FakeAdminBackend backend;
  backend.measured.started_at = now - 3h;
  backend.known_peers = {{"hub-b", {"127.0.0.1", 2526}, "silent", SpoolId{0x99}, Epoch{4}, 12'500ms}};
  auto view = [&] {
    return status_view(
        Json::parse(to_text(status_report(backend.identity(), backend.now, backend.measured, backend.counted,
                                          backend.known_peers, backend.configured))),
        now);
  };
  EXPECT_THAT(view(),
              HasSubstr("state       takes mail\nrunning     3 h, spool 0000000000001234, epoch 3\n"));
  EXPECT_THAT(view(), HasSubstr("hub-b  silent  12.5 s      -       normal    127.0.0.1:2526  "
                                "0000000000000099  4      unknown        -\n"));
  EXPECT_THAT(view(), ::testing::Not(HasSubstr("warning")));
  backend.known_peers[0].drift = {{"lease", "10000ms", "2000ms", true, "too short"},
                                  {"routes", "sha256:1", "sha256:2"}};
  EXPECT_THAT(view(), HasSubstr("0000000000000099  4      differs        -\n"));
  EXPECT_THAT(view(), HasSubstr("\nrefused hub-b: lease is 10000ms here, 2000ms there (too short)\n"
                                "warning hub-b: routes is sha256:1 here, sha256:2 there\n"));
  EXPECT_EQ(peer_report(backend.known_peers[0])["differences"][0],
            Json::parse(
                R"({"key":"lease","here":"10000ms","there":"2000ms","refused":true,"reason":"too short"})"));
  backend.known_peers[0].pressure = PressureLevel::medium;
  EXPECT_THAT(view(), HasSubstr("hub-b  silent  12.5 s      -       medium    127.0.0.1:2526"));
  EXPECT_EQ(peer_report(backend.known_peers[0])["pressure"], "medium");
  backend.known_peers[0].drift->clear();
  EXPECT_EQ(peer_report(backend.known_peers[0])["configuration"], "same");
  backend.now = {true, false, "waiting for hub-b"};
  EXPECT_THAT(view(), HasSubstr("state       does not take mail: waiting for hub-b\n"));
}

}  // namespace
}  // namespace umbra::hub
