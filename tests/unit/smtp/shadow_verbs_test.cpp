// Goal: XSHADOW commands survive the wire whole, in any split, and wrong ones get their own reply.
#include "smtp/shadow_verbs.h"

#include <gtest/gtest.h>

#include "base/envelope.h"

namespace umbra::smtp {
namespace {

const MessageId id{SpoolId{0x9f86d081884c7d65}, 0x10000000002};

HubHello hello(const char* name) {
  return {name, SpoolId{7}, Epoch{3}, Sequence{99}, std::string(64, 'a')};
}

CopyOffer offer() {
  CopyOffer o;
  o.id = id;
  o.generation = Generation{2};
  o.envelope = "envelope\r\nwith a line end";
  o.body = "Subject: x\r\n\r\nXDONE 5\r\n";
  o.body_octets = o.body.size();
  o.offered = {{"hub-1", SpoolId{7}}, {"hub-2", SpoolId{8}}};
  o.done = {0, 4};
  return o;
}

std::vector<ShadowCommand> parse_all(std::string_view wire, std::size_t piece) {
  ShadowParser parser;
  std::vector<ShadowCommand> commands;
  for (std::size_t at = 0; at < wire.size(); at += piece) {
    parser.feed(wire.substr(at, piece));
    for (;;) {
      auto command = parser.next();
      EXPECT_TRUE(command.has_value()) << command.error().what;
      if (!command || !*command) break;
      commands.push_back(std::move(**command));
    }
  }
  EXPECT_EQ(parser.buffered(), 0U);
  return commands;
}

TEST(ShadowParser, TakesNoBodyBehindAHandOverOfWhatIsHeld) {
  HandOffer hand;
  hand.copy = offer();
  hand.number = 7;
  hand.keep = true;
  hand.is_held_there = true;
  auto wire = format_hand(hand) + "NOOP\r\n";
  EXPECT_NE(wire.find(" HELD KEEP 7\r\n"), std::string::npos);
  for (std::size_t piece : {std::size_t{1}, std::size_t{5}, wire.size()}) {
    auto commands = parse_all(wire, piece);
    ASSERT_EQ(commands.size(), 2U);
    EXPECT_TRUE(commands[0].is_held_here);
    EXPECT_TRUE(commands[0].keep);
    EXPECT_FALSE(commands[0].copy.streamed);
    EXPECT_EQ(commands[0].copy.envelope, hand.copy.envelope);
    EXPECT_EQ(commands[0].copy.body, "");
    EXPECT_EQ(commands[0].copy.body_octets, hand.copy.body_octets);
    EXPECT_EQ(commands[1].verb, ShadowVerb::noop);
  }
  ShadowParser parser;
  parser.feed("XCOPY " + to_string(id) + " 1 1 1 HELD hub-1/0000000000000007\r\nab");
  EXPECT_FALSE(parser.next()) << "only XHAND";
}

TEST(ShadowParser, ReadsEveryCommandInAnySplit) {
  auto wire = format_hub(hello("hub-1")) + format_proof("abc") + format_copy(offer()) +
              format_chunk(id, "12345", false) + format_chunk(id, "", true) +
              format_forget(id, Generation{2}) +
              format_done({{1, id, Generation{1}, true, {}}, {2, id, Generation{1}, false, {0, 7}}}) +
              format_poll(50) + format_seen({3, 4}) + format_beat(Epoch{9}, Sequence{10}) +
              format_ask({id, id}) + "ehlo hub-1\r\nNOOP\r\nQUIT\r\n";
  for (std::size_t piece :
       {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{7}, std::size_t{64}, wire.size()}) {
    auto commands = parse_all(wire, piece);
    ASSERT_EQ(commands.size(), 14U) << piece;
    EXPECT_EQ(commands[0].hello, hello("hub-1"));
    EXPECT_EQ(commands[1].proof, "abc");
    EXPECT_EQ(commands[2].copy.envelope, offer().envelope);
    EXPECT_EQ(commands[2].copy.body, offer().body);
    EXPECT_EQ(commands[2].copy.offered, offer().offered);
    EXPECT_EQ(commands[2].copy.done, offer().done);
    EXPECT_FALSE(commands[2].copy.streamed);
    EXPECT_EQ(commands[3].octets, "12345");
    EXPECT_FALSE(commands[3].last);
    EXPECT_TRUE(commands[4].last);
    EXPECT_EQ(commands[5].verb, ShadowVerb::forget);
    ASSERT_EQ(commands[6].discards.size(), 2U);
    EXPECT_EQ(commands[6].discards[1].recipients, (std::vector<std::uint32_t>{0, 7}));
    EXPECT_EQ(commands[7].limit, 50U);
    EXPECT_EQ(commands[8].keys, (std::vector<std::uint64_t>{3, 4}));
    EXPECT_EQ(commands[9].epoch, Epoch{9});
    EXPECT_EQ(commands[10].ids.size(), 2U);
    EXPECT_EQ(commands[13].verb, ShadowVerb::quit);
  }
}

TEST(ShadowParser, ReadsTheNamesOfMoreHubsThanALineHasRoomFor) {
  for (auto part : {CopyOffer::Part::whole, CopyOffer::Part::end}) {
    for (bool streamed : {false, true}) {
      if (streamed && part == CopyOffer::Part::end) continue;
      auto o = offer();
      o.part = part;
      o.streamed = streamed;
      o.note.number = 3;
      EXPECT_TRUE(fits_in_a_line(o));
      o.done.clear();
      for (std::uint32_t i = 0; i < 500; ++i) o.done.push_back(i);
      o.offered.clear();
      for (std::uint64_t i = 1; i <= 300; ++i)
        o.offered.emplace_back(std::string(61, 'h') + std::to_string(100 + i), SpoolId{i});
      EXPECT_FALSE(fits_in_a_line(o));
      EXPECT_TRUE(fits_behind_a_line(o));
      auto wire = format_copy(o) + "NOOP\r\n";
      EXPECT_LE(wire.find("\r\n") + 2, shadow_line_octets_max);
      for (std::size_t piece : {std::size_t{7}, std::size_t{4096}, wire.size()}) {
        auto commands = parse_all(wire, piece);
        ASSERT_EQ(commands.size(), 2U);
        EXPECT_EQ(commands[0].copy.offered, o.offered);
        EXPECT_EQ(commands[0].copy.done, o.done);
        EXPECT_EQ(commands[0].copy.note.number, 3U);
        EXPECT_EQ(commands[0].copy.envelope, o.envelope);
        EXPECT_EQ(commands[0].copy.body, streamed ? "" : o.body);
        EXPECT_EQ(commands[0].copy.part, part);
      }
      o.offered.resize(1'700, o.offered.front());
      EXPECT_FALSE(fits_behind_a_line(o));
    }
  }
}

TEST(ShadowParser, ReadsVotesAndEpochs) {
  VoteQuestion question{"hub-1", SpoolId{7}, Epoch{3}, "0123456789abcdef", true};
  auto commands = parse_all(
      format_vote(question) + format_epochs() + format_beat(Epoch{9}, Sequence{2}, "0123456789abcdef"), 7);
  ASSERT_EQ(commands.size(), 3U);
  EXPECT_EQ(commands[0].vote, question);
  EXPECT_EQ(commands[1].verb, ShadowVerb::epochs);
  EXPECT_EQ(commands[2].agreement, "0123456789abcdef");
  KnownEpoch known{"hub-2", SpoolId{8}, Epoch{4}};
  EXPECT_EQ(parse_epochs(format_epoch(known) + "\nhub/3 0000000000000007 1\nhub-3 7\n2"), std::vector{known});
}

TEST(ShadowParser, AStreamedCopyCarriesOnlyTheEnvelope) {
  auto o = offer();
  o.streamed = true;
  o.body_octets = 1U << 30;
  auto commands = parse_all(format_copy(o) + "NOOP\r\n", 5);
  ASSERT_EQ(commands.size(), 2U);
  EXPECT_TRUE(commands[0].copy.streamed);
  EXPECT_EQ(commands[0].copy.body_octets, 1U << 30);
}

TEST(ShadowParser, AnswersEachMistakeWithItsOwnReply) {
  const auto text = to_string(id);
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"XWHAT\r\n", "500"},
      {"XHUB 0 hub-1 0000000000000007 3 99 " + std::string(64, 'a') + "\r\n", "501"},
      {"XHUB 1 hub-1 0000000000000007 3 99 " + std::string(64, 'a') + " more\r\n", "501"},
      {"XHUB 1 hub-1 0000000000000000 3 99 " + std::string(64, 'a') + "\r\n", "501"},
      {"XHUB 1 hub-1 0000000000000007 0 99 " + std::string(64, 'a') + "\r\n", "501"},
      {"XHUB 1 hub-1 0000000000000007 3 99 short\r\n", "501"},
      {"XHUB 1 hub/1 0000000000000007 3 99 " + std::string(64, 'a') + "\r\n", "501"},
      {"XPROOF\r\n", "501"},
      {"XCOPY " + text + " 1\r\n", "501"},
      {"XCOPY " + text + " 0 1 1 INLINE hub-1/0000000000000007\r\nab", "501"},
      {"XCOPY " + text + " 1 1 1 MAYBE hub-1/0000000000000007\r\nab", "501"},
      {"XCOPY " + text + " 1 1 1 INLINE hub-1\r\nab", "501"},
      {"XCOPY " + text + " 1 1 1 INLINE hub-1/0000000000000007 4,3\r\nab", "501"},
      {"XCOPY " + text + " 1 99999999999 1 INLINE hub-1/0000000000000007\r\n", "501"},
      {"XCOPY " + text + " 1 1 1 INLINE +\r\nab", "501"},
      {"XCOPY " + text + " 1 1 1 INLINE +0\r\nab", "501"},
      {"XCOPY " + text + " 1 1 1 INLINE +5\r\nhub-1ab", "501"},
      {"XCOPY " + text + " 1 1 1 INLINE +131073\r\n", "501"},
      {"XCOPY " + text + " 1 1 1 INLINE -1\r\nab", "501"},
      {"XCOPY nonsense 1 1 1 INLINE hub-1/0000000000000007\r\nab", "501"},
      {"XCHUNK " + text + " 300000\r\n" + std::string(300000, 'x'), "552"},
      {"XCHUNK " + text + " 1 FIRST\r\nx", "501"},
      {"XFORGET " + text + "\r\n", "501"},
      {"XDONE 3\r\nabc", "501"},
      {"XDONE 5\r\nabc\r\n", "501"},
      {"XASK 5\r\nabc\r\n", "501"},
      {"XSEEN 4\r\n-1\r\n", "501"},
      {"XPOLL 0\r\n", "501"},
      {"XNOTE 5\r\nabc\r\n", "501"},
      {"XNOTE 3\r\nabc", "501"},
      {"XCOPY " + text + " 1 1 1 INLINE hub-1/0000000000000007 NOTE:1:held\r\nab", "501"},
      {"XBEAT 1\r\n", "501"},
      {"XBEAT 1 1 0123456789abcde\r\n", "501"},
      {"XBEAT 1 1 0123456789abcdef more\r\n", "501"},
      {"XVOTE hub-1 0000000000000007 3\r\n", "501"},
      {"XVOTE hub-1 0000000000000000 3 0123456789abcdef\r\n", "501"},
      {"XVOTE hub/1 0000000000000007 3 0123456789abcdef\r\n", "501"},
      {"XVOTE hub-1 0000000000000007 3 0123456789abcdef MAYBE\r\n", "501"},
      {"XEPOCHS now\r\n", "501"},
      {"NOOP\rQUIT\r\n", "500"},
      {std::string(5000, 'x'), "500"},
  };
  for (const auto& [wire, code] : rows) {
    ShadowParser parser;
    parser.feed(wire);
    auto command = parser.next();
    ASSERT_FALSE(command.has_value()) << wire.substr(0, 60);
    EXPECT_EQ(command.error().what.substr(0, 3), code) << wire.substr(0, 60);
    // The session makes a reply of it: "ccc d.d.d text".
    EXPECT_GT(command.error().what.size(), 10U);
    EXPECT_EQ(command.error().what[9], ' ');
  }
}

TEST(XNote, SurvivesItsTextFormAndNothingElseIsOne) {
  const WallTime when{std::chrono::microseconds{1'700'000'000'000'001}};
  NoteItem full{
      id,
      Generation{3},
      {.number = 4,
       .is_held = true,
       .alarm_at = when,
       .attempts = {{"route one/2", 3}, {"ex\xc3\xa4mple-a.com", 1}},
       .last_error = "451 4.2.0 a+b=c, -, /, \xc3\xa9",
       .history = {{Generation{1}, OwnerRecord::How::accepted, "hub-1", SpoolId{7}, when, 2},
                   {Generation{3}, OwnerRecord::How::handed_over, "hub-2", SpoolId{8}, WallTime{}, 0}}}};
  NoteItem empty{
      id,
      Generation{1},
      {.number = 1, .is_held = false, .alarm_at = {}, .attempts = {}, .last_error = "", .history = {}}};
  auto elsewhere = full;
  elsewhere.note.next_hop = "host:[2001:db8::1]:2525";
  EXPECT_EQ(format_note(elsewhere), format_note(full) + " host:[2001:db8::1]:2525")
      << "a word that only a hub gets that offers the keyword";
  for (const auto& item : {full, empty, elsewhere}) {
    auto line = format_note(item);
    EXPECT_EQ(line.find_first_of("\r\n"), std::string::npos);
    ASSERT_TRUE(parse_note(line)) << line;
    EXPECT_EQ(*parse_note(line), item) << line;
  }
  for (std::size_t piece : {1UL, 5UL, 1000UL}) {
    auto commands = parse_all(format_notes({full, empty}) + "NOOP\r\n", piece);
    ASSERT_EQ(commands.size(), 2U);
    EXPECT_EQ(commands[0].notes, (std::vector<NoteItem>{full, empty}));
  }
  auto control = full;
  control.note.last_error = "a\r\nb";
  EXPECT_EQ(parse_note(format_note(control))->note.last_error, "a??b");
  auto offered = offer();
  offered.note = {
      .number = 4, .is_held = true, .alarm_at = when, .attempts = {}, .last_error = "", .history = {}};
  EXPECT_EQ(parse_all(format_copy(offered), 1000)[0].copy.note, offered.note);
  EXPECT_EQ(parse_all(format_copy(offered), 1000)[0].copy.done, offered.done);
  offered.note.next_hop = "mx:a-b.example:25";
  EXPECT_EQ(parse_all(format_copy(offered), 1000)[0].copy.note, offered.note);
  for (const auto* word : {"NOTE:1:free:0:", "NOTE:1:free:0:-", "NOTE:1:free:0:a+0Ab", "NOTE:1:free"})
    EXPECT_FALSE(parse_copy_note(word)) << word;
  EXPECT_FALSE(parse_copy_note("NOTE:1:free:0:" + std::string(next_hop_octets_max + 1, 'x')));

  const auto text = to_string(id);
  std::string many = text + " 1 1 held 0 ";
  for (int i = 0; i < 33; ++i) many += (i == 0 ? "a/1" : ",a/1");
  std::string owners;
  for (int i = 0; i < 17; ++i)
    owners += std::string(i == 0 ? "" : ",") + "accepted/1/hub/0000000000000007/0/0";
  for (const auto& line : {text,
                           text + " 1 1 held 0 - -",
                           text + " 0 1 held 0 - - -",
                           text + " 1 0 held 0 - - -",
                           text + " 1 1 kept 0 - - -",
                           text + " 1 1 held x - - -",
                           text + " 1 1 held 99999999999999999999 - - -",
                           text + " 1 1 held 0 a - -",
                           text + " 1 1 held 0 a/4294967296 - -",
                           text + " 1 1 held 0 - accepted/1/hub - -",
                           text + " 1 1 held 0 - stolen/1/hub/0000000000000007/0/0 -",
                           text + " 1 1 held 0 - accepted/1/h@b/0000000000000007/0/0 -",
                           text + " 1 1 held 0 - accepted/0/hub/0000000000000007/0/0 -",
                           text + " 1 1 held 0 - - a+0Db",
                           text + " 1 1 held 0 - - a +0A",
                           text + " 1 1 held 0 - - a -",
                           text + " 1 1 held 0 - - a b c",
                           text + " 1 1 held 0 - - a " + std::string(next_hop_octets_max + 1, 'x'),
                           text + " 1 1 held 0 - - " + std::string(513, 'x'),
                           many + " - -",
                           text + " 1 1 held 0 - " + owners + " -"})
    EXPECT_FALSE(parse_note(line)) << line;
  EXPECT_EQ(parse_noted(format_noted(id, NotedState::wait)), (std::pair{id, NotedState::wait}));
  EXPECT_FALSE(parse_noted(text + " forgotten"));
  EXPECT_FALSE(parse_noted(text));
}

TEST(ShadowParser, BoundsTheNumberOfLines) {
  std::vector<MessageId> many(shadow_batch_max + 1, id);
  ShadowParser parser;
  parser.feed(format_ask(many));
  auto command = parser.next();
  ASSERT_FALSE(command.has_value());
  EXPECT_EQ(command.error().what.substr(0, 3), "552");
}

TEST(AskAnswer, SurvivesItsTextForm) {
  for (auto kind :
       {AskKind::unknown, AskKind::pending, AskKind::live, AskKind::waiting, AskKind::held, AskKind::done}) {
    AskAnswer a{id, kind, Generation{4}, "", SpoolId{0}};
    if (kind == AskKind::held) {
      a.owner_hub = "hub-3";
      a.owner_spool = SpoolId{12};
    }
    EXPECT_EQ(parse_answer(format_answer(a)), a);
  }
  for (const char* bad :
       {"", "x live 1", "9f86d081884c7d65-2 alive 1", "9f86d081884c7d65-2 live", "9f86d081884c7d65-2 held 1",
        "9f86d081884c7d65-2 live 1 hub-1 0000000000000007", "9f86d081884c7d65-2 held 1 hub-1 0"})
    EXPECT_FALSE(parse_answer(bad)) << bad;
}

TEST(HubProof, DependsOnSecretRoleAndBothHellos) {
  auto a = hello("hub-1"), b = hello("hub-2");
  auto proof = hub_proof("0123456789abcdef", "server", a, b);
  EXPECT_EQ(proof.size(), 64U);
  EXPECT_TRUE(proofs_equal(proof, hub_proof("0123456789abcdef", "server", a, b)));
  EXPECT_FALSE(proofs_equal(proof, hub_proof("0123456789abcdeg", "server", a, b)));
  EXPECT_FALSE(proofs_equal(proof, hub_proof("0123456789abcdef", "client", a, b)));
  EXPECT_FALSE(proofs_equal(proof, hub_proof("0123456789abcdef", "server", b, a)));
  b.nonce[0] = 'b';
  EXPECT_FALSE(proofs_equal(proof, hub_proof("0123456789abcdef", "server", a, b)));
  EXPECT_FALSE(proofs_equal(proof, ""));
}

TEST(Challenge, SurvivesItsTextForm) {
  auto parsed = parse_challenge(format_challenge(hello("hub-9"), "proof"));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->server, hello("hub-9"));
  EXPECT_EQ(parsed->proof, "proof");
  EXPECT_FALSE(parse_challenge("hub-9 short"));
}

}  // namespace
}  // namespace umbra::smtp
