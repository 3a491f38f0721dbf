// Goal: every word of another hub that is wrong, stale, repeated, of another cluster, of an older epoch or
// generation, or of a later version gets the reply that docs/xshadow.md says, and changes nothing it should
// not. Method: a table of them, each on a session of its own to a hub with a message, a shadow and a discard;
// the spool is compared before and after.
#include "hub/peering/hand_over_record.h"
#include "smtp/shadow_queries.h"
#include "tests/unit/hub/peering_fixture.h"

namespace umbra::hub::peering_test {
namespace {

using ::testing::StartsWith;

struct Row {
  std::string what;
  std::string wire;
  std::string reply;  ///< it begins so
  bool ends = false;  ///< the session
};

class WrongWords : public PeeringTest {
 protected:
  WrongWords() {
    for (auto& [address, m] : network.members) m.is_up = false;
  }
  void SetUp() override {
    make();
    mine = own_message({{"hub3", spool3, Holder::State::holds}});
    put(mine);
    auto done = own_message({{"hub3", spool3, Holder::State::holds}});
    put(done);
    must([&](storage::Writer& w) {
      return w.finish_message(done.row, std::nullopt, SpoolId{}, storage::Left::elsewhere);
    });
    start();
    std::unique_ptr<Caller> owner;
    ASSERT_THAT(call(owner, "hub2", spool2, Epoch{5}, Sequence{100}), StartsWith("235 "));
    ASSERT_THAT(say(*owner, copy(held, 2)), StartsWith("250 "));
    ASSERT_THAT(say(*owner, copy(gone, 1)), StartsWith("250 "));
    ASSERT_THAT(say(*owner, done_of(gone, 1)), StartsWith("250 "));
    std::unique_ptr<Caller> third;
    ASSERT_THAT(call(third, "hub3", spool3, Epoch{5}, Sequence{100}), StartsWith("235 "));
    ASSERT_THAT(say(*third, copy(of_hub3, 1)), StartsWith("250 "));
    // As if hub2 had just answered a beat.
    peering->members().find("hub2")->beat_answered = MonotonicClock::now();
    owed = ask([](storage::Reader& r) { return r.outbox(spool3, 0, 10); });
    ASSERT_EQ(owed.size(), 1U);
  }

  [[nodiscard]] std::string copy(MessageId id, std::uint32_t generation, bool streamed = false) const {
    smtp::CopyOffer offer;
    offer.id = id;
    offer.generation = Generation{generation};
    Envelope envelope;
    envelope.sender = "s@example.org";
    envelope.recipients = {{"r@example.com", "", notify_unset}};
    offer.envelope = encode(envelope);
    offer.body = "body\n";
    offer.body_octets = 5;
    offer.streamed = streamed;
    offer.offered = {{"hub1", spool->id()}};
    return smtp::format_copy(offer);
  }
  static std::string done_of(MessageId id, std::uint32_t generation,
                             std::vector<std::uint32_t> recipients = {}) {
    bool all = recipients.empty();
    return smtp::format_done({{1, id, Generation{generation}, all, std::move(recipients)}});
  }

  static smtp::ConfigurationValues many_values(std::size_t count) {
    smtp::ConfigurationValues values;
    for (std::size_t i = 0; i < count; ++i)
      values.emplace(std::string(1 + i % 26, 'x') + (i < 26 ? "" : "_y"), "1");
    return values;
  }
  static std::string too_many() {
    std::string lines;
    for (int i = 0; i < 401; ++i) lines += "1 " + to_string(MessageId{spool2, 0x77}) + " 1 all\r\n";
    return "XDONE " + std::to_string(lines.size()) + "\r\n" + lines;
  }

  static std::string hand_record() {
    HandOverRecord record;
    record.envelope.recipients = {{"r@example.com", "", notify_unset}};
    return encode(record);
  }

  [[nodiscard]] std::string too_many_notes() const {
    std::string lines;
    for (int i = 0; i < 401; ++i) lines += to_string(held) + " 2 1 held 0 - - -\r\n";
    return "XNOTE " + std::to_string(lines.size()) + "\r\n" + lines;
  }

  struct Contents {
    std::vector<MessageId> messages;
    std::vector<std::string> shadows;
    std::vector<std::uint64_t> outbox;
    std::vector<std::string> epochs;  ///< the lowest that is accepted of each hub
    bool operator==(const Contents&) const = default;
  };
  Contents contents() {
    return ask([](storage::Reader& r) -> Result<Contents> {
      Contents c;
      auto rows = r.messages(RowId{0}, RowId{INT64_MAX}, 100);
      if (!rows) return std::unexpected(rows.error());
      for (auto row : *rows) {
        auto message = r.message(row);
        if (message && *message && (*message)->state == storage::MessageState::queued)
          c.messages.push_back((*message)->id);
      }
      auto shadows = r.shadows(RowId{0}, 100);
      if (!shadows) return std::unexpected(shadows.error());
      for (const auto& s : *shadows)
        c.shadows.push_back(to_string(s.id) + "/" + std::to_string(s.generation.value) + "/" + s.owner_hub +
                            "/" + std::to_string(s.done.size()) + "/" + std::to_string(s.note.number) +
                            (s.note.is_held ? "/held" : ""));
      auto outbox = r.outbox(spool3, 0, 100);
      if (!outbox) return std::unexpected(outbox.error());
      for (const auto& item : *outbox) c.outbox.push_back(item.key);
      auto peers = r.peers();
      if (!peers) return std::unexpected(peers.error());
      for (const auto& peer : *peers)
        c.epochs.push_back(peer.hub + "/" + to_string(peer.spool) + "/" + std::to_string(peer.epoch.value));
      return c;
    });
  }

  void check(Caller& caller, const Row& row) {
    SCOPED_TRACE(row.what);
    auto before = contents();
    auto reply = say(caller, row.wire);
    EXPECT_THAT(reply, StartsWith(row.reply));
    EXPECT_TRUE(reply.ends_with("\r\n"));
    EXPECT_EQ(caller.is_closed(), row.ends);
    EXPECT_TRUE(contents() == before) << "something has changed";
  }
  void check_all(const std::vector<Row>& rows) {
    for (const auto& row : rows) {
      std::unique_ptr<Caller> caller;
      ASSERT_THAT(call(caller, "hub2", spool2, Epoch{5}, Sequence{100}), StartsWith("235 "));
      check(*caller, row);
    }
    EXPECT_FALSE(peering->members().ended());
  }

  storage::NewMessage mine;
  MessageId held{spool2, 1};     ///< a shadow of generation 2
  MessageId gone{spool2, 2};     ///< its copy came and was discarded
  MessageId of_hub3{spool3, 1};  ///< a shadow
  MessageId unknown{spool2, 3};
  std::vector<storage::OutboxItem> owed;  ///< to hub3
};

TEST_F(WrongWords, OfACopy) {
  check_all({
      {"XCOPY repeated", copy(held, 2), "250 2.6.0 "},
      {"XCOPY of an older generation", copy(held, 1), "550 5.5.0 "},
      {"XCOPY of what was discarded", copy(gone, 1), "550 5.5.0 "},
      {"XCOPY of a message of this hub", copy(mine.id, 2), "550 5.5.0 "},
      {"XCOPY STREAM of what was discarded", copy(gone, 1, true), "550 5.5.0 "},
      {"XCOPY with an envelope that is none",
       "XCOPY " + to_string(unknown) + " 1 3 1 INLINE hub1/1111111111111111\r\nabcd", "501 "},
      {"XCOPY with a recipient that is not there",
       "XCOPY " + copy(unknown, 1).substr(6, copy(unknown, 1).find("\r\n") - 6) + " 7" +
           copy(unknown, 1).substr(copy(unknown, 1).find("\r\n")),
       "501 "},
      {"XCOPY without a generation",
       "XCOPY " + to_string(unknown) + " 0 1 1 INLINE hub1/1111111111111111\r\nab", "501 ", true},
      {"XCOPY of an impossible size",
       "XCOPY " + to_string(unknown) + " 1 1 99999999999 INLINE hub1/1111111111111111\r\n", "501 ", true},
      {"XCOPY STREAM of a size that no sum can hold",
       "XCOPY " + to_string(unknown) + " 1 0 18446744073709551615 STREAM hub1/1111111111111111\r\n", "501 ",
       true},
      {"XCOPY END without BEGIN", "XCOPY " + to_string(unknown) + " 1 0 1 END+1 hub1/1111111111111111\r\nb",
       "503 "},
      {"XCOPY with a note that is none",
       "XCOPY " + to_string(unknown) + " 1 1 1 INLINE hub1/1111111111111111 NOTE:0:held:1\r\nab", "501 ",
       true},
      {"XCOPY with a number of names that is none", "XCOPY " + to_string(unknown) + " 1 1 1 INLINE +x\r\nab",
       "501 ", true},
      {"XCOPY with more names than may be", "XCOPY " + to_string(unknown) + " 1 1 1 INLINE +131073\r\n",
       "501 ", true},
      {"XCOPY with names that are none", "XCOPY " + to_string(unknown) + " 1 1 1 INLINE +5\r\nhub-1ab",
       "501 ", true},
      {"XCOPY BEGIN with a size", "XCOPY " + to_string(unknown) + " 1 0 5 BEGIN hub1/1111111111111111\r\n",
       "501 ", true},
      {"XCHUNK without XCOPY", smtp::format_chunk(unknown, "abc", false), "503 "},
      {"XCHUNK too long", "XCHUNK " + to_string(unknown) + " 300000\r\n" + std::string(300000, 'x'), "552 ",
       true},
      {"XCHUNK with a strange word", "XCHUNK " + to_string(unknown) + " 1 FIRST\r\nx", "501 ", true},
  });
}

TEST_F(WrongWords, OfAStreamThatDoesNotFit) {
  std::unique_ptr<Caller> caller;
  ASSERT_THAT(call(caller, "hub2", spool2, Epoch{5}, Sequence{100}), StartsWith("235 "));
  check(*caller, {"XCOPY STREAM", copy(unknown, 1, true), "250 2.0.0 "});
  check(*caller, {"more than was offered", smtp::format_chunk(unknown, "body\nand more", false), "501 "});
  check(*caller, {"after a piece was refused", smtp::format_chunk(unknown, "", true), "451 "});
  check(*caller, {"after its end", smtp::format_chunk(unknown, "x", true), "503 "});
  check(*caller, {"XCOPY STREAM again", copy(unknown, 1, true), "250 2.0.0 "});
  check(*caller, {"less than was offered", smtp::format_chunk(unknown, "bod", true), "501 "});
}

TEST_F(WrongWords, OfAnEnd) {
  check_all({
      {"XFORGET of an older generation", smtp::format_forget(held, Generation{1}), "550 5.5.0 "},
      {"XFORGET of what is not here", smtp::format_forget(unknown, Generation{1}), "250 2.0.0 "},
      {"XFORGET of this hub's own message", smtp::format_forget(mine.id, Generation{9}), "550 5.7.1 "},
      {"XFORGET of another hub's", smtp::format_forget(of_hub3, Generation{1}), "550 5.7.1 "},
      {"XFORGET without a generation", "XFORGET " + to_string(held) + "\r\n", "501 ", true},
      {"superseded of what is not here", smtp::format_done({{1, unknown, Generation{1}, false, {}, true}}),
       "250 2.0.0 "},
      {"superseded of this hub's own generation",
       smtp::format_done({{1, mine.id, Generation{1}, false, {}, true}}), "250 2.0.0 "},
      {"superseded of an older generation than is held",
       smtp::format_done({{1, held, Generation{1}, false, {}, true}}), "250 2.0.0 "},
      {"XDONE of what is not here", done_of(unknown, 1), "250 2.0.0 "},
      {"XDONE repeated", done_of(gone, 1), "250 2.0.0 "},
      {"XDONE with half a line", "XDONE 3\r\nabc", "501 ", true},
      {"XDONE of too many", too_many(), "552 ", true},
      {"XPOLL of nothing", "XPOLL 0\r\n", "501 ", true},
      {"XPOLL of a hub that is owed nothing", smtp::format_poll(400), "250 2.0.0 0\r\n"},
      {"XSEEN of what another hub is owed", smtp::format_seen({owed[0].key}), "250 2.0.0 "},
      {"XSEEN of a key that is none", smtp::format_seen({0, 99, ~0ULL}), "250 2.0.0 "},
      {"XSEEN of words", "XSEEN 5\r\nabc\r\n", "501 ", true},
  });
}

TEST_F(WrongWords, OfABeatOrAQuestion) {
  MessageNote told{.number = 7,
                   .is_held = true,
                   .alarm_at = WallClock::now(),
                   .attempts = {},
                   .last_error = "",
                   .history = {}};
  auto no_number = to_string(held) + " 2 0 held 0 - - -\r\n";
  check_all({
      {"XBEAT of another epoch", smtp::format_beat(Epoch{4}, Sequence{100}), "554 5.7.0 ", true},
      {"XBEAT of an epoch to come", smtp::format_beat(Epoch{6}, Sequence{100}), "554 5.7.0 ", true},
      {"XBEAT of words", "XBEAT one two\r\n", "501 ", true},
      {"XBEAT with an older sequence", smtp::format_beat(Epoch{5}, Sequence{1}), "250 2.0.0 lease "},
      {"XASK of what is not here", smtp::format_ask({unknown}),
       "250-2.0.0 " + to_string(unknown) + " unknown 0"},
      {"XASK of no id", "XASK 5\r\nabc\r\n", "501 ", true},
      {"XASK without CRLF", "XASK 3\r\nabc", "501 ", true},
      {"XBEAT with an agreement that is none", "XBEAT 5 100 majority\r\n", "501 ", true},
      {"XBEAT of a hub with another ownership",
       smtp::format_beat(Epoch{5}, Sequence{100}, "0123456789abcdef"), "250 2.0.0 lease 0\r\n"},
      {"XVOTE of a hub with another ownership",
       smtp::format_vote({"hub3", spool3, Epoch{9}, "0123456789abcdef", false}), "450 4.4.1 "},
      {"XVOTE about nobody", "XVOTE hub3 0 1 0123456789abcdef\r\n", "501 ", true},
      {"XVOTE without an agreement", "XVOTE hub3 " + to_string(spool3) + " 1\r\n", "501 ", true},
      {"XEPOCHS of one hub", "XEPOCHS hub3\r\n", "501 ", true},
      {"XHAND with a record that is none", "XHAND " + to_string(unknown) + " 2 3 1 INLINE KEEP 1\r\nabcd",
       "501 "},
      {"XHAND with a strange word", "XHAND " + to_string(unknown) + " 2 1 1 INLINE TAKE 1\r\nab", "501 ",
       true},
      {"XHAND HELD of what is not held here",
       "XHAND " + to_string(unknown) + " 2 " + std::to_string(hand_record().size()) + " 1 HELD KEEP 1\r\n" +
           hand_record(),
       "504 5.5.0 "},
      {"XHAND HELD with a record that is none", "XHAND " + to_string(unknown) + " 2 3 1 HELD KEEP 1\r\nabc",
       "501 "},
      {"XHAND HELD of a copy with another size",
       "XHAND " + to_string(held) + " 3 " + std::to_string(hand_record().size()) + " 4 HELD KEEP 1\r\n" +
           hand_record(),
       "504 5.5.0 "},
      {"XCOPY HELD", "XCOPY " + to_string(unknown) + " 2 1 1 HELD hub2/" + to_string(spool2) + "\r\nab",
       "501 ", true},
      {"XHAND without a number", "XHAND " + to_string(unknown) + " 2 1 1 INLINE KEEP\r\nab", "501 ", true},
      {"XBACK of what is not here", smtp::format_back(unknown, Generation{1}, 1),
       "250 2.0.0 " + to_string(unknown) + " unknown 0"},
      {"XBACK without a number", "XBACK " + to_string(unknown) + " 1\r\n", "501 ", true},
      {"XSUSPECT of what is not here", smtp::format_suspect({{unknown, 3}}), "250 2.0.0 "},
      {"XSUSPECT of what another hub owns", smtp::format_suspect({{mine.id, 3}}), "250 2.0.0 "},
      {"XSUSPECT without a number", "XSUSPECT 5\r\nabc\r\n", "501 ", true},
      {"XCONFIG of half a line", "XCONFIG 8\r\nlease 1s", "501 5.5.4 ", true},
      {"XCONFIG of a key without a value", "XCONFIG 8\r\nlease \r\n", "501 5.5.4 ", true},
      {"XCONFIG of a key that is none", "XCONFIG 9\r\nLEASE 1\r\n", "501 5.5.4 ", true},
      {"XCONFIG of a key twice", "XCONFIG 18\r\nlease 1\r\nlease 2\r\n", "501 5.5.4 ", true},
      {"XCONFIG with an escape sequence", "XCONFIG 9\r\nlease \x1b\r\n", "501 5.5.4 ", true},
      {"XCONFIG of more than there may be", "XCONFIG 16385\r\n", "501 5.5.4 ", true},
      {"XCONFIG of too many lines", smtp::format_configuration(many_values(33)), "501 5.5.4 ", true},
      {"XCONFIG of too long a value", smtp::format_configuration({{"lease", std::string(257, '1')}}),
       "501 5.5.4 ", true},
      {"XCONFIG without a number", "XCONFIG\r\n", "501 5.5.4 ", true},
      {"XCONFIG of nothing that is known", smtp::format_configuration(many_values(32)), "250 2.0.0 "},
      {"XQUERY without a question", "XQUERY\r\n", "501 5.5.4 ", true},
      {"XQUERY of what is no path", "XQUERY trace\r\n", "501 5.5.4 ", true},
      {"XQUERY of two words", "XQUERY /v1/trace id\r\n", "501 5.5.4 ", true},
      {"XQUERY with an escape sequence", "XQUERY /v1/\x1b\r\n", "501 5.5.4 ", true},
      {"XQUERY that is too long", "XQUERY /" + std::string(4000, 'x') + "\r\n", "501 5.5.4 ", true},
      {"XORDER without a path", "XORDER token:ops\r\n", "501 5.5.4 ", true},
      {"XORDER of nobody", "XORDER /v1/drain\r\n", "501 5.5.4 ", true},
      {"XORDER of what is no path", "XORDER token:ops drain\r\n", "501 5.5.4 ", true},
      {"XORDER of somebody with a long name", "XORDER " + std::string(201, 'x') + " /v1/drain\r\n",
       "501 5.5.4 ", true},
      {"XORDER where nobody answers", "XORDER token:ops /v1/drain\r\n", "502 5.5.1 "},
      {"XQUERY where nobody answers", "XQUERY /v1/trace\r\n", "502 5.5.1 "},
      {"XANSWER to what was not asked", smtp::format_fetch(7, 0), "550 5.5.0 "},
      {"XANSWER without a place", "XANSWER 7\r\n", "501 5.5.4 ", true},
      {"XANSWER with a number that is none", "XANSWER 7 -1\r\n", "501 5.5.4 ", true},
      {"XNOTE of what is not here", smtp::format_notes({{unknown, Generation{1}, told}}),
       "250-2.0.0 " + to_string(unknown) + " none\r\n"},
      {"XNOTE of this hub's own message", smtp::format_notes({{mine.id, Generation{1}, told}}),
       "250-2.0.0 " + to_string(mine.id) + " none\r\n"},
      {"XNOTE of a generation to come of this hub's own",
       smtp::format_notes({{mine.id, Generation{9}, told}}), "250-2.0.0 " + to_string(mine.id) + " wait\r\n"},
      {"XNOTE of another hub's", smtp::format_notes({{of_hub3, Generation{1}, told}}),
       "250-2.0.0 " + to_string(of_hub3) + " none\r\n"},
      {"XNOTE of an older generation than is held", smtp::format_notes({{held, Generation{1}, told}}),
       "250-2.0.0 " + to_string(held) + " none\r\n"},
      {"XNOTE of a later generation than is held", smtp::format_notes({{held, Generation{3}, told}}),
       "250-2.0.0 " + to_string(held) + " wait\r\n"},
      {"XNOTE with half a line", "XNOTE 5\r\nabc\r\n", "501 ", true},
      {"XNOTE without CRLF", "XNOTE 3\r\nabc", "501 ", true},
      {"XNOTE of no number", "XNOTE " + std::to_string(no_number.size()) + "\r\n" + no_number, "501 ", true},
      {"XNOTE of too many", too_many_notes(), "552 ", true},
      {"XGONE of a run before this one", smtp::format_gone({{"hub3", spool3, Epoch{5}}}), "250 2.0.0 "},
      {"XGONE of this hub", smtp::format_gone({{"hub1", spool->id(), Epoch{100}}}), "250 2.0.0 "},
      {"XGONE of half a line", "XGONE 8\r\nhub3 1\r\n", "501 5.5.4 ", true},
      {"XGONE of no name", "XGONE 24\r\nh,b 3333333333333333 5\r\n", "501 5.5.4 ", true},
      {"XGONE without CRLF", "XGONE 3\r\nabc", "501 ", true},
      {"XLEVEL without a level", "XLEVEL\r\n", "501 5.5.4 ", true},
      {"XLEVEL of no level", "XLEVEL desperate\r\n", "501 5.5.4 ", true},
      {"XLEVEL with more", "XLEVEL high 5\r\n", "501 5.5.4 ", true},
      {"XLEVEL repeated", smtp::format_level(PressureLevel::normal), "250 2.0.0 "},
      {"XOVER of a run before the one that lives", smtp::format_over({{"hub3", spool3, Epoch{5}}}),
       "250-2.0.0 hub3 " + to_string(spool3) + " 5\r\n250 2.0.0 Noted"},
      {"XOVER of this hub", smtp::format_over({{"hub1", spool->id(), Epoch{100}}}), "250 2.0.0 "},
      {"XOVER of another spool", smtp::format_over({{"hub3", SpoolId{77}, Epoch{100}}}),
       "250-2.0.0 hub3 " + to_string(spool3) + " 5\r\n250 2.0.0 Noted"},
      {"XOVER of nobody's", smtp::format_over({{"hub9", SpoolId{77}, Epoch{100}}}), "250 2.0.0 "},
      {"XOVER of half a line", "XOVER 8\r\nhub3 1\r\n", "501 5.5.4 ", true},
      {"XOVER of an epoch that cannot be", "XOVER 43\r\nhub3 3333333333333333 9999999999999999999\r\n",
       "501 ", true},
      {"XOVER without CRLF", "XOVER 3\r\nabc", "501 ", true},
      {"a word of a later version that was not offered", "XFUTURE 1 2 3\r\n", "500 5.5.2 ", true},
      {"a line too long", std::string(5000, 'x'), "500 5.5.6 ", true},
      {"XHUB once more", smtp::format_hub({"hub2", spool2, Epoch{5}, Sequence{100}, std::string(64, 'b')}),
       "503 ", true},
      {"XPROOF once more", smtp::format_proof(std::string(64, '0')), "503 ", true},
  });
  EXPECT_EQ(peering->members().find("hub2")->identity->sequence, Sequence{100})
      << "an older sequence lowers nothing";
}

TEST_F(WrongWords, OfWhoHasNotProvedItself) {
  for (const auto& wire :
       {copy(unknown, 1), smtp::format_chunk(unknown, "x", true), smtp::format_forget(held, Generation{2}),
        done_of(held, 2), smtp::format_poll(1), smtp::format_seen({owed[0].key}),
        smtp::format_beat(Epoch{5}, Sequence{1}), smtp::format_ask({held}),
        smtp::format_configuration({{"lease", "1ms"}}), smtp::format_back(held, Generation{2}, 1),
        smtp::format_level(PressureLevel::high), smtp::format_gone({{"hub3", spool3, Epoch{6}}}),
        smtp::format_over({{"hub3", spool3, Epoch{6}}}),
        smtp::format_notes({{held,
                             Generation{2},
                             {.number = 1,
                              .is_held = true,
                              .alarm_at = {},
                              .attempts = {},
                              .last_error = "",
                              .history = {}}}})}) {
    Caller stranger(network.inbound.connect_from("10.0.0.9"), {});
    settle();
    (void)stranger.received();
    check(stranger, {wire.substr(0, 8), wire, "530 5.7.0 ", true});
  }
  // Another cluster's secret, and the proof of another session.
  smtp::HubHello hello{"hub2", spool2, Epoch{5}, Sequence{100}, std::string(64, 'c')};
  std::string old_proof;
  for (const bool is_replay : {false, true}) {
    Caller caller(network.inbound.connect_from("10.0.0.9"), hello);
    settle();
    (void)caller.received();
    auto challenge = say(caller, smtp::format_hub(hello));
    auto parsed = smtp::parse_challenge(challenge.substr(4, challenge.size() - 6));
    ASSERT_TRUE(parsed);
    auto proof = is_replay
                     ? old_proof
                     : smtp::hub_proof("the secret of another cluster", "client", hello, parsed->server);
    old_proof = smtp::hub_proof(secret, "client", hello, parsed->server);
    check(caller, {is_replay ? "a proof heard before" : "another secret", smtp::format_proof(proof),
                   "535 5.7.8 ", true});
  }
  // The server's proof sent back to it.
  Caller mirror(network.inbound.connect_from("10.0.0.9"), hello);
  settle();
  (void)mirror.received();
  auto challenge = say(mirror, smtp::format_hub(hello));
  auto parsed = smtp::parse_challenge(challenge.substr(4, challenge.size() - 6));
  ASSERT_TRUE(parsed);
  check(mirror, {"the server's own proof", smtp::format_proof(parsed->proof), "535 5.7.8 ", true});
}

TEST_F(WrongWords, OfARunThatIsOver) {
  struct Ending {
    static Task<void> run(Members& members) {
      (void)co_await members.end_epoch_of(*members.find("hub2"), spool2, Epoch{0});
    }
  };
  for (const bool is_ended : {false, true}) {
    SCOPED_TRACE(is_ended ? "its epoch was ended" : "its next run has come");
    auto epoch = Epoch{is_ended ? 7U : 5U};
    auto sequence = Sequence{is_ended ? 300U : 200U};
    MessageNote told{.number = 7,
                     .is_held = true,
                     .alarm_at = WallClock::now(),
                     .attempts = {},
                     .last_error = "",
                     .history = {}};
    std::vector<Row> rows = {{"XCOPY", copy(unknown, 1), "554 5.7.0 "},
                             {"XNOTE", smtp::format_notes({{held, Generation{2}, told}}), "554 5.7.0 ", true},
                             {"XGONE", smtp::format_gone({{"hub3", spool3, Epoch{6}}}), "554 5.7.0 ", true},
                             {"XLEVEL", smtp::format_level(PressureLevel::high), "554 5.7.0 ", true},
                             {"XOVER", smtp::format_over({{"hub3", spool3, Epoch{9}}}), "554 5.7.0 ", true},
                             {"XCOPY STREAM", copy(unknown, 1, true), "554 5.7.0 "},
                             {"XCONFIG", smtp::format_configuration({{"lease", "1ms"}}), "554 5.7.0 ", true},
                             {"XBEAT", smtp::format_beat(epoch, sequence), "554 5.7.0 ", true}};
    std::vector<std::unique_ptr<Caller>> callers(rows.size());
    for (auto& caller : callers)
      ASSERT_THAT(call(caller, "hub2", spool2, epoch, sequence), StartsWith("235 "));
    std::unique_ptr<Caller> next;
    if (is_ended) {
      scope.spawn("end", Ending::run(peering->members()));
      settle();
    } else {
      ASSERT_THAT(call(next, "hub2", spool2, Epoch{6}, Sequence{201}), StartsWith("235 "));
    }
    for (std::size_t i = 0; i < rows.size(); ++i) check(*callers[i], rows[i]);
  }
}

}  // namespace
}  // namespace umbra::hub::peering_test
