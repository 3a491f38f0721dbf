// Tables that fit a terminal, and what search, config, tls and top print.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "hub/admin/report.h"
#include "hub/commands/views.h"
#include "tests/unit/hub/fake_admin_backend.h"

namespace umbra::hub {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr WallTime now{1'700'000'000s};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// Without the colours.
std::string bare(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b')
      i = text.find('m', i);
    else
      out += text[i];
  }
  return out;
}

TEST(Table, IsAsWideAsItsCellsWithoutALimit) {
  EXPECT_EQ(table({{"A", "LONG"}, {"abc", "x"}}), "A    LONG\nabc  x\n");
  EXPECT_EQ(table({}), "");
}

TEST(Table, CutsTheWidestColumnsFirstWithAnEllipsis) {
  const Screen screen{.columns = 20};
  EXPECT_EQ(table({{"ID", "TEXT"}, {"12345678", "a very long text indeed"}}, screen),
            "ID        TEXT\n12345678  a very lo…\n");
}

TEST(Table, NoLineIsWiderThanTheScreenWhateverItsCells) {
  std::vector<std::vector<std::string>> rows(1, std::vector<std::string>(8, "HEADING"));
  rows.push_back(std::vector<std::string>(8, std::string(50, 'x')));
  rows.push_back(std::vector<std::string>(8, "größer als es scheint"));
  for (std::size_t columns : {1U, 10U, 40U, 80U, 81U, 200U, 1000U})
    for (const auto& line : lines_of(table(rows, {.columns = columns})))
      EXPECT_LE(width_of(line), columns) << line;
}

TEST(Table, ManyColumnsFitWithColoursToo) {
  const std::vector<std::vector<std::string>> rows(2, std::vector<std::string>(13, "HEADING"));
  const auto coloured = table(rows, {.columns = 80, .has_colours = true});
  EXPECT_EQ(bare(coloured), table(rows, {.columns = 80}));
  for (const auto& line : lines_of(bare(coloured))) EXPECT_LE(width_of(line), 80U) << line;
}

TEST(Table, CutsBetweenCharacters) {
  EXPECT_EQ(cut_to("größe", 4), "grö…");
  EXPECT_EQ(cut_to("größe", 5), "größe");
  EXPECT_EQ(cut_to("größe", 1), "…");
  EXPECT_EQ(cut_to("größe", 0), "");
}

TEST(Table, ColoursChangeNoWidth) {
  auto plain = lines_of(table({{"HUB", "STATE", "X"}, {"hub-1", "silent", "y"}}));
  auto coloured = table({{"HUB", "STATE", "X"}, {"hub-1", "silent", "y"}}, {.has_colours = true});
  EXPECT_THAT(coloured, HasSubstr("\x1b[31msilent\x1b[0m"));
  EXPECT_EQ(lines_of(bare(coloured)), plain);
}

TEST(SearchView, ShowsWhereEachIsAndNamesHubsThatDidNotAnswer) {
  FakeAdminBackend backend;
  backend.add(1, 3);
  Json row = {{"hub", "hub-a"}};
  row.update(queue_row(backend.queue[0]).summary);
  const Json answer = {{"messages", {row}},
                       {"next", "hub-a:1"},
                       {"hubs",
                        {{{"hub", "hub-a"}, {"answered", true}},
                         {{"hub", "hub-b"}, {"answered", false}, {"why", "no session\x1b"}}}}};
  auto text = search_view(answer, now, {});
  EXPECT_THAT(text, HasSubstr("hub-a  0000000000001234-1  queued"));
  EXPECT_THAT(text, HasSubstr("r0@example.net +2"));
  EXPECT_THAT(text, HasSubstr("hub-b did not answer: no session?\n"));
  EXPECT_THAT(text, HasSubstr("--after hub-a:1"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

Json status_of(int accepted, int queue) {
  return {
      {"ready", true},
      {"totals", {{"accepted", accepted}, {"recipients_delivered", 2 * accepted}, {"recipients_bounced", 0}}},
      {"queue", {{"messages", queue}, {"held", 0}, {"unprotected", 0}}},
      {"shadows", 1},
      {"discards_owed", 2},
      {"connections", 3},
      {"pressure", {{"level", "normal"}}},
      {"spool_free_octets", 5'000'000'000}};
}
Json cluster_of(int accepted) {
  return {{"hubs",
           {{{"hub", "hub-1"}, {"answered", true}, {"status", status_of(accepted, 7)}},
            {{"hub", "hub-2"}, {"answered", false}, {"why", "no session"}, {"status", nullptr}}}}};
}

TEST(TopView, ShowsRatesBetweenTwoLooksAndFitsTheScreen) {
  const TopSample before{10, cluster_of(100)};
  const TopSample later{12, cluster_of(300)};
  auto text = top_view(&before, later, now, {.columns = 80, .lines = 24});
  auto lines = lines_of(text);
  EXPECT_LE(lines.size(), 24U);
  for (const auto& line : lines) EXPECT_LE(width_of(line), 80U) << line;
  EXPECT_THAT(text, HasSubstr("22:13:20 UTC"));
  EXPECT_THAT(text, HasSubstr("1 of them without an answer"));
  EXPECT_THAT(top_view(&before, later, now, {}), testing::ContainsRegex("hub-1 +ready +100 +200 +0 +7 "));
  EXPECT_THAT(top_view(nullptr, later, now, {}), testing::ContainsRegex("hub-1 +ready +- +- +- +7 "));
  EXPECT_THAT(top_view(&later, before, now, {}), testing::ContainsRegex("hub-1 +ready +- +- +- +7 "))
      << "started anew";
}

TEST(TopView, SaysHowManyHubsDoNotFit) {
  Json answer = {{"hubs", Json::array()}};
  for (int i = 0; i < 40; ++i)
    answer["hubs"].push_back(
        {{"hub", "hub-" + std::to_string(i)}, {"answered", true}, {"status", status_of(1, 1)}});
  auto text = top_view(nullptr, {1, answer}, now, {.columns = 80, .lines = 24});
  EXPECT_LE(lines_of(text).size(), 24U);
  EXPECT_THAT(text, HasSubstr("more lines"));
}

TEST(QueueSearch, EachConditionHasToHold) {
  FakeAdminBackend backend;
  backend.add(1, 2);
  auto& message = backend.queue[0];
  message.envelope.accepted_at = now - 1h;
  message.progress = {{0, storage::RecipientOutcome::State::delivered, "250", {}}};
  EXPECT_TRUE(matches(message, {}));
  EXPECT_TRUE(matches(message, {.sender = "@EXAMPLE.com"}));
  EXPECT_FALSE(matches(message, {.sender = "@other.example"}));
  EXPECT_FALSE(matches(message, {.recipient = "r0@example.net"})) << "it has been delivered";
  EXPECT_TRUE(matches(message, {.recipient = "r1@example.net"}));
  EXPECT_TRUE(matches(message, {.next_hop = "Example.NET"}));
  EXPECT_FALSE(matches(message, {.next_hop = "route:out"}));
  EXPECT_TRUE(matches(message, {.error = "LATER"}));
  EXPECT_FALSE(matches(message, {.sender = "@example.com", .error = "never"}));
  EXPECT_FALSE(matches(message, {.state = storage::MessageState::held}));
  EXPECT_TRUE(matches(message, {.until = now - 30min}));
  EXPECT_FALSE(matches(message, {.until = now - 2h}));
  EXPECT_FALSE(matches(message, {.since = now - 30min}));
  message.queue = {{"route:out", now, 0}};
  EXPECT_TRUE(matches(message, {.next_hop = "out"}));
}

TEST(QueueSearch, AFilterComesThroughItsQueryUnchanged) {
  const QueueFilter filter{.sender = "<>",
                           .recipient = "a&b=c@example.net",
                           .next_hop = "route:x",
                           .error = "451 4.7.1 a, b%",
                           .state = storage::MessageState::held,
                           .since = now - 1h,
                           .until = now};
  std::string others;
  auto query = to_query(filter);
  auto read = parse_queue_filter(query + "&limit=7", others);
  ASSERT_TRUE(read);
  EXPECT_EQ(to_query(*read), query);
  EXPECT_EQ(read->recipient, filter.recipient);
  EXPECT_EQ(others, "limit=7");
  for (const char* wrong : {"sender=", "sender=%zz", "state=gone", "since=-1", "since=2&until=1"})
    EXPECT_FALSE(parse_queue_filter(wrong, others)) << wrong;
}

}  // namespace
}  // namespace umbra::hub
