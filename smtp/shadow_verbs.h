// XSHADOW: how hubs speak to each other inside SMTP (docs/xshadow.md is the specification). Commands are SMTP
// command lines, some with counted octets behind them (as BDAT has); every command gets exactly one reply, in
// order. This file turns bytes into commands and values into bytes, both ways. Everything read is hostile
// until parsed here.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/message_note.h"
#include "base/pressure_level.h"
#include "base/result.h"
#include "smtp/configuration_lines.h"

namespace umbra::smtp {

/// The versions of docs/xshadow.md that this program speaks.
inline constexpr int shadow_version_lowest = 1;
inline constexpr int shadow_version_highest = 1;
inline constexpr std::size_t shadow_line_octets_max = 4096;
inline constexpr std::size_t shadow_payload_octets_max = 16U << 20;
inline constexpr std::size_t shadow_chunk_octets_max = 256U << 10;
inline constexpr std::size_t shadow_names_octets_max =
    128U << 10;  ///< of the hubs of one XCOPY, behind its line: some 1,600 of the longest names
inline constexpr std::size_t shadow_batch_max = 400;  ///< ids in one XASK, items in one XDONE or XPOLL

/// Who speaks: the opening of a session, in both directions.
struct HubHello {
  std::string hub;
  SpoolId spool;
  Epoch epoch;
  Sequence sequence;
  std::string nonce;  ///< 64 lower-case hexadecimal digits, new for each session
  bool operator==(const HubHello&) const = default;
};

/// The version that the client of a session offered (its highest), and the one that the server chose: the
/// lower of both highest.
struct ShadowVersion {
  int offered = shadow_version_highest;
  int used = shadow_version_highest;
  bool operator==(const ShadowVersion&) const = default;
};

/// The 334 reply: who the server is, and its proof.
struct HubChallenge {
  HubHello server;
  std::string proof;
  std::optional<int> version;  ///< the one to be used; absent: the one that was offered
};

struct CopyOffer {
  /// A body that is copied while it comes in is begun without size and envelope, and ended with both (keyword
  /// XEARLY).
  enum class Part : std::uint8_t { whole, begin, end };
  MessageId id;
  Generation generation;
  std::uint64_t body_octets = 0;
  Part part = Part::whole;
  bool streamed = false;  ///< the body follows in XCHUNK commands; else it is part of this command's octets
  std::vector<std::pair<std::string, SpoolId>>
      offered;                      ///< every hub the copy was offered to, in order, the receiver last
  std::vector<std::uint32_t> done;  ///< recipients already finished, ascending
  std::string envelope;             ///< encoded (base/envelope.h)
  std::string body;                 ///< when not streamed
  MessageNote note;                 ///< keyword XNOTE: number, hold, alarm and next hop; number 0: nothing
};

/// A message that is handed over: `envelope` of the offer is the whole record of it (docs/xshadow.md section
/// 12).
struct HandOffer {
  CopyOffer copy;
  std::uint64_t number = 0;    ///< of the offer, in this run of the giver
  bool keep = false;           ///< the giver stays as a holder
  bool is_held_there = false;  ///< no body is sent: the receiver has it, in the copy it holds
};

/// A piece of discard status: `key` names it in the sender's outbox.
struct DiscardItem {
  std::uint64_t key = 0;
  MessageId id;
  Generation generation;
  bool all = true;
  std::vector<std::uint32_t> recipients;
  bool superseded = false;  ///< not done: a later owner has it, and a copy of this generation is not needed
  bool operator==(const DiscardItem&) const = default;
};

enum class AskKind : std::uint8_t { unknown, pending, live, waiting, held, done };

/// What a hub says of itself.
enum class HubState : std::uint8_t { active, draining, leaving, left };
std::string_view to_string(HubState state);

/// What the owner answers about a copy whose holder wants to leave.
enum class RehomeState : std::uint8_t {
  released,  ///< there is another copy: drop yours
  wait,      ///< another copy is being made
  nobody,    ///< no other hub can hold a copy now
  unknown    ///< not a message of this hub (any more)
};

/// What an owner tells a holder of one message (XNOTE).
struct NoteItem {
  MessageId id;
  Generation generation;
  MessageNote note;
  bool operator==(const NoteItem&) const = default;
};

/// What became of it there.
enum class NotedState : std::uint8_t {
  noted,
  wait,  ///< the hub has something older of the message: tell it again
  none   ///< it holds no such copy
};

/// What a hub knows of one message.
struct AskAnswer {
  MessageId id;
  AskKind kind = AskKind::unknown;
  Generation generation;
  std::string owner_hub;  ///< held: for whom
  SpoolId owner_spool;
  bool operator==(const AskAnswer&) const = default;
};

enum class ShadowVerb : std::uint8_t {
  ehlo,
  noop,
  quit,
  rset,
  hub,
  proof,
  copy,
  chunk,
  forget,
  done,
  poll,
  seen,
  beat,
  ask,
  suspect,
  vote,
  epochs,
  hand,
  back,
  state,
  rehome,
  config,
  note,
  gone,
  over,
  level,
  query,
  order,
  answer
};

/// Is a hub silent? Asked by who wants to take over from it (majority ownership).
struct VoteQuestion {
  std::string hub;
  SpoolId spool;
  Epoch over_below;       ///< every epoch below this shall be over
  std::string agreement;  ///< 16 hexadecimal digits
  bool is_probe = false;  ///< binds nobody
  bool operator==(const VoteQuestion&) const = default;
};

/// What a hub remembers of another one's epochs; in XGONE: all below `lowest` have left; in XOVER: were
/// ended.
struct KnownEpoch {
  std::string hub;
  SpoolId spool;
  Epoch lowest;  ///< that is accepted
  bool operator==(const KnownEpoch&) const = default;
};

/// One command as read. Only the members of its verb are set.
struct ShadowCommand {
  ShadowVerb verb = ShadowVerb::noop;
  std::string name;                   ///< ehlo
  HubHello hello;                     ///< hub
  int version = 0;                    ///< hub: the highest that the client speaks
  std::string proof;                  ///< proof
  CopyOffer copy;                     ///< copy
  bool keep = false;                  ///< hand (whose offer is in `copy`)
  bool is_held_here = false;          ///< hand: no body comes, the copy held here has it
  std::uint64_t number = 0;           ///< hand, back, answer
  std::uint64_t offset = 0;           ///< answer
  std::string target;                 ///< query, order
  std::string by;                     ///< order
  MessageId id;                       ///< chunk, forget, back
  Generation generation;              ///< forget, back
  std::string octets;                 ///< chunk
  bool last = false;                  ///< chunk
  std::vector<DiscardItem> discards;  ///< done
  std::uint64_t limit = 0;            ///< poll
  std::vector<std::uint64_t> keys;    ///< seen
  Epoch epoch;                        ///< beat
  Sequence sequence;                  ///< beat
  std::string agreement;              ///< beat: empty, or 16 hexadecimal digits
  VoteQuestion vote;                  ///< vote
  std::vector<MessageId> ids;         ///< ask, rehome
  std::vector<std::pair<MessageId, std::uint32_t>>
      suspects;                                 ///< suspect: how often a hub ended while it delivered each
  std::vector<NoteItem> notes;                  ///< note
  std::vector<KnownEpoch> runs;                 ///< gone, over
  HubState state = HubState::active;            ///< state
  std::uint64_t milliseconds = 0;               ///< state: back within
  ConfigurationValues configuration;            ///< config
  PressureLevel level = PressureLevel::normal;  ///< level
};

/// Reads commands from a session's bytes. A wrong command is reported with its reply text; after one the
/// session is closed, since the octets behind a counted command can not be told from commands any more.
class ShadowParser {
 public:
  void feed(std::string_view octets) { input_.append(octets); }
  /// The next whole command; nothing when more octets are needed; an error (what = reply text) when it is
  /// wrong.
  Result<std::optional<ShadowCommand>> next();
  [[nodiscard]] std::size_t buffered() const { return input_.size() - consumed_; }

 private:
  std::string input_;
  std::size_t consumed_ = 0;
};

// Commands, as sent.
std::string format_hub(const HubHello& hello, int offered = shadow_version_highest);
std::string format_proof(std::string_view proof);
/// With the names of the hubs behind the line (keyword XNAMES) where it has no room for them.
std::string format_copy(const CopyOffer& offer);
/// Every server can take it: the line has room for all names.
bool fits_in_a_line(const CopyOffer& offer);
/// Any server can take it that offers XNAMES.
bool fits_behind_a_line(const CopyOffer& offer);
std::string format_chunk(MessageId id, std::string_view octets, bool last);
std::string format_forget(MessageId id, Generation generation);
std::string format_done(const std::vector<DiscardItem>& items);
std::string format_poll(std::uint64_t limit);
std::string format_suspect(const std::vector<std::pair<MessageId, std::uint32_t>>& suspects);
std::string format_seen(const std::vector<std::uint64_t>& keys);
std::string format_beat(Epoch epoch, Sequence sequence, std::string_view agreement = {});
std::string format_vote(const VoteQuestion& question);
std::string format_epochs();
std::string format_hand(const HandOffer& offer);
std::string format_back(MessageId id, Generation generation, std::uint64_t number);
std::string format_state(HubState state, Duration back_within);
std::string format_level(PressureLevel level);
std::string format_gone(const std::vector<KnownEpoch>& gone);
std::string format_over(const std::vector<KnownEpoch>& over);
std::string format_rehome(const std::vector<MessageId>& ids);
std::string format_rehomed(MessageId id, RehomeState state);
std::optional<std::pair<MessageId, RehomeState>> parse_rehomed(std::string_view line);
std::string format_ask(const std::vector<MessageId>& ids);
std::string format_notes(const std::vector<NoteItem>& notes);
std::string format_note(const NoteItem& item);
std::optional<NoteItem> parse_note(std::string_view line);
/// The last word of XCOPY: number, hold, alarm and next hop of a note.
std::string format_copy_note(const MessageNote& note);
std::optional<MessageNote> parse_copy_note(std::string_view word);
std::string format_noted(MessageId id, NotedState state);
std::optional<std::pair<MessageId, NotedState>> parse_noted(std::string_view line);

// What replies carry, one value per reply line.
std::string format_answer(const AskAnswer& answer);
std::optional<AskAnswer> parse_answer(std::string_view line);
std::string format_epoch(const KnownEpoch& known);
std::optional<KnownEpoch> parse_epoch(std::string_view line);
/// All lines that are one.
std::vector<KnownEpoch> parse_epochs(std::string_view text);
std::string format_discard(const DiscardItem& item);
/// Recipients, with commas between them.
std::string format_indexes(const std::vector<std::uint32_t>& indexes);
std::optional<DiscardItem> parse_discard(std::string_view line);
/// "<hub> <spool> <epoch> <sequence> <nonce> <proof> [<version>]" of the 334 reply.
std::string format_challenge(const HubHello& hello, std::string_view proof, ShadowVersion version = {});
std::optional<HubChallenge> parse_challenge(std::string_view text);

/// Letters, digits, '.', '-' and '_', 1 to 64 octets.
bool is_hub_name(std::string_view text);

/// Proof of knowing the cluster's secret, bound to both hellos, to the versions offered and used, and to who
/// gives it. HMAC-SHA-256 (RFC 2104) in hexadecimal.
std::string hub_proof(std::string_view secret, std::string_view role, const HubHello& client,
                      const HubHello& server, ShadowVersion version = {});
/// In constant time.
bool proofs_equal(std::string_view a, std::string_view b);

}  // namespace umbra::smtp
