// The words of docs/xshadow.md, written and read. This file is long because each verb stands here in both
// directions, one beside the other.
#include "smtp/shadow_verbs.h"

#include <algorithm>
#include <charconv>

#include "smtp/shadow_queries.h"

namespace umbra::smtp {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    auto at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::optional<std::vector<std::uint32_t>> parse_indexes(std::string_view text) {
  std::vector<std::uint32_t> result;
  for (auto part : split(text, ',')) {
    auto n = parse_number(part);
    if (!n || *n > 1'000'000 || (!result.empty() && *n <= result.back())) return std::nullopt;
    result.push_back(static_cast<std::uint32_t>(*n));
  }
  return result;
}

std::optional<Generation> parse_generation(std::string_view text) {
  auto n = parse_number(text);
  if (!n || *n == 0 || *n > 0xffffffffU) return std::nullopt;
  return Generation{static_cast<std::uint32_t>(*n)};
}

std::optional<HubHello> parse_hello(const std::vector<std::string_view>& words, std::size_t first) {
  if (words.size() < first + 5) return std::nullopt;
  HubHello hello;
  auto spool = parse_spool_id(words[first + 1]);
  auto epoch = parse_number(words[first + 2]);
  auto sequence = parse_number(words[first + 3]);
  auto nonce = words[first + 4];
  if (!is_hub_name(words[first]) || !spool || !epoch || *epoch == 0 || !sequence || nonce.size() != 64)
    return std::nullopt;
  if (nonce.find_first_not_of("0123456789abcdef") != std::string_view::npos) return std::nullopt;
  hello.hub = words[first];
  hello.spool = *spool;
  hello.epoch = Epoch{*epoch};
  hello.sequence = Sequence{*sequence};
  hello.nonce = nonce;
  return hello;
}

std::string format_hello(const HubHello& h) {
  return h.hub + ' ' + to_string(h.spool) + ' ' + std::to_string(h.epoch.value) + ' ' +
         std::to_string(h.sequence.value) + ' ' + h.nonce;
}

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return result;
}

std::unexpected<Error> wrong(std::string what) {
  return failure(std::errc::protocol_error, std::move(what));
}

constexpr std::string_view hub_states[] = {"active", "draining", "leaving", "left"};
constexpr std::string_view rehome_states[] = {"released", "wait", "nobody", "unknown"};
constexpr std::uint64_t body_octets_max = std::uint64_t{1} << 40;  // no sum of sizes overflows
constexpr std::uint64_t back_within_max = 24ULL * 3600 * 1000;

constexpr std::string_view ask_kinds[] = {"unknown", "pending", "live", "waiting", "held", "done"};

/// Their line has the number of octets only; what follows is lines.
bool is_list(std::string_view verb) {
  constexpr std::string_view lists[] = {"XDONE",   "XASK",  "XSEEN", "XSUSPECT",
                                        "XREHOME", "XNOTE", "XGONE", "XOVER"};
  return std::ranges::find(lists, verb) != std::end(lists);
}

/// Octets that follow the line of a command, told by the line itself; nothing when the line is wrong.
std::optional<std::uint64_t> payload_octets(std::string_view verb,
                                            const std::vector<std::string_view>& words) {
  auto at = [&](std::size_t i) -> std::optional<std::uint64_t> {
    if (words.size() <= i) return std::nullopt;
    auto n = parse_number(words[i]);
    return n && *n <= shadow_payload_octets_max ? n : std::nullopt;
  };
  if (verb == "XCOPY" || verb == "XHAND") {
    auto envelope = at(3);
    if (!envelope || words.size() < 6) return std::nullopt;
    if (verb == "XCOPY" && words.size() > 6 && words[6].starts_with('+')) {
      auto names = parse_number(words[6].substr(1));
      if (!names || *names > shadow_names_octets_max) return std::nullopt;
      *envelope += *names;
    }
    if (words[5] == "STREAM" || words[5] == "BEGIN" || (words[5] == "HELD" && verb == "XHAND"))
      return envelope;
    if (words[5].starts_with("END+")) {
      auto rest = parse_number(words[5].substr(4));
      return rest && *rest <= shadow_chunk_octets_max ? std::optional(*envelope + *rest) : std::nullopt;
    }
    auto body = at(4);
    return body ? std::optional(*envelope + *body) : std::nullopt;
  }
  if (verb == "XCHUNK") return at(2);
  if (is_list(verb)) return at(1);
  if (verb == "XCONFIG") {
    auto lines = at(1);
    return lines && *lines <= configuration_octets_max ? lines : std::nullopt;
  }
  return 0;
}

bool is_agreement(std::string_view text) {
  return text.size() == 16 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// XVOTE hub spool epoch agreement [PROBE]
std::optional<VoteQuestion> parse_vote(const std::vector<std::string_view>& words) {
  if (words.size() != 5 && (words.size() != 6 || words[5] != "PROBE")) return std::nullopt;
  auto spool = parse_spool_id(words[2]);
  auto epoch = parse_number(words[3]);
  if (!is_hub_name(words[1]) || !spool || !epoch || *epoch > INT64_MAX || !is_agreement(words[4]))
    return std::nullopt;
  return VoteQuestion{std::string(words[1]), *spool, Epoch{*epoch}, std::string(words[4]), words.size() == 6};
}

/// XCOPY id generation envelope-octets body-octets STREAM|INLINE|BEGIN|END+octets offered|+octets [done]
/// [note]
Result<ShadowCommand> parse_copy(std::vector<std::string_view> words, std::string_view payload) {
  MessageNote note;
  if (words.size() > 7 && words.back().starts_with("NOTE:")) {
    auto told = parse_copy_note(words.back());
    if (!told) return wrong("501 5.5.4 XCOPY: bad note");
    note = std::move(*told);
    words.pop_back();
  }
  if (words.size() != 7 && words.size() != 8) return wrong("501 5.5.4 XCOPY takes 6 or 7 arguments");
  ShadowCommand command;
  command.verb = ShadowVerb::copy;
  command.copy.note = std::move(note);
  auto id = parse_message_id(words[1]);
  auto generation = parse_generation(words[2]);
  auto envelope = parse_number(words[3]);
  auto body = parse_number(words[4]);
  if (!id || !generation || !envelope || !body || *body > body_octets_max)
    return wrong("501 5.5.4 XCOPY: bad id, generation or size");
  command.copy.id = *id;
  command.copy.generation = *generation;
  command.copy.body_octets = *body;
  if (words[5] != "STREAM" && words[5] != "INLINE" && words[5] != "BEGIN" && !words[5].starts_with("END+"))
    return wrong("501 5.5.4 XCOPY: STREAM, INLINE, BEGIN or END+n expected");
  if (words[5] == "BEGIN" && (*envelope != 0 || *body != 0))
    return wrong("501 5.5.4 XCOPY BEGIN: sizes are 0");
  if (words[5] == "BEGIN") command.copy.part = CopyOffer::Part::begin;
  if (words[5].starts_with("END+")) command.copy.part = CopyOffer::Part::end;
  command.copy.streamed = words[5] == "STREAM";
  auto names = words[6];
  if (names.starts_with('+')) {
    names = payload.substr(0, *parse_number(names.substr(1)));
    payload.remove_prefix(names.size());
  }
  for (auto entry : split(names, ',')) {
    auto slash = entry.find('/');
    if (slash == std::string_view::npos) return wrong("501 5.5.4 XCOPY: hub/spool expected");
    auto spool = parse_spool_id(entry.substr(slash + 1));
    if (!spool || !is_hub_name(entry.substr(0, slash))) return wrong("501 5.5.4 XCOPY: hub/spool expected");
    command.copy.offered.emplace_back(std::string(entry.substr(0, slash)), *spool);
  }
  if (words.size() == 8) {
    auto done = parse_indexes(words[7]);
    if (!done) return wrong("501 5.5.4 XCOPY: bad list of recipients");
    command.copy.done = std::move(*done);
  }
  command.copy.envelope = payload.substr(0, *envelope);
  command.copy.body = payload.substr(*envelope);
  return command;
}

/// XHAND id generation record-octets body-octets STREAM|INLINE|HELD KEEP|MOVE number
Result<ShadowCommand> parse_hand(const std::vector<std::string_view>& words, std::string_view payload) {
  if (words.size() != 8) return wrong("501 5.5.4 XHAND takes 7 arguments");
  ShadowCommand command;
  command.verb = ShadowVerb::hand;
  auto id = parse_message_id(words[1]);
  auto generation = parse_generation(words[2]);
  auto record = parse_number(words[3]);
  auto body = parse_number(words[4]);
  auto number = parse_number(words[7]);
  if (!id || !generation || !record || !body || *body > body_octets_max || !number)
    return wrong("501 5.5.4 XHAND: bad id, generation, size or number");
  if (words[5] != "STREAM" && words[5] != "INLINE" && words[5] != "HELD")
    return wrong("501 5.5.4 XHAND: STREAM, INLINE or HELD expected");
  if (words[6] != "KEEP" && words[6] != "MOVE") return wrong("501 5.5.4 XHAND: KEEP or MOVE expected");
  command.copy.id = *id;
  command.copy.generation = *generation;
  command.copy.body_octets = *body;
  command.copy.streamed = words[5] == "STREAM";
  command.is_held_here = words[5] == "HELD";
  command.keep = words[6] == "KEEP";
  command.number = *number;
  command.copy.envelope = payload.substr(0, *record);
  command.copy.body = payload.substr(*record);
  return command;
}

Result<ShadowCommand> parse_command(std::string_view verb, const std::vector<std::string_view>& words,
                                    std::string_view payload) {
  ShadowCommand command;
  auto expect = [&](std::size_t count) { return words.size() == count; };
  if (verb == "EHLO" || verb == "HELO") {
    if (!expect(2)) return wrong("501 5.5.4 EHLO takes the name of the hub");
    command.verb = ShadowVerb::ehlo;
    command.name = words[1];
  } else if (verb == "NOOP") {
    command.verb = ShadowVerb::noop;
  } else if (verb == "RSET") {
    command.verb = ShadowVerb::rset;
  } else if (verb == "QUIT") {
    command.verb = ShadowVerb::quit;
  } else if (verb == "XHUB") {
    auto version = words.size() > 1 ? parse_number(words[1]) : std::nullopt;
    // A later version may say more behind what this one says.
    if (!version || *version == 0 || *version > 10'000 || words.size() < 7 ||
        (words.size() > 7 && *version <= shadow_version_highest))
      return wrong("501 5.5.4 XHUB takes 6 arguments");
    auto hello = parse_hello(words, 2);
    if (!hello) return wrong("501 5.5.4 XHUB: bad name, spool, epoch, sequence or nonce");
    command.verb = ShadowVerb::hub;
    command.hello = std::move(*hello);
    command.version = static_cast<int>(*version);
  } else if (verb == "XPROOF") {
    if (!expect(2)) return wrong("501 5.5.4 XPROOF takes the proof");
    command.verb = ShadowVerb::proof;
    command.proof = words[1];
  } else if (verb == "XCOPY") {
    return parse_copy(words, payload);
  } else if (verb == "XHAND") {
    return parse_hand(words, payload);
  } else if (verb == "XSTATE") {
    auto state = words.size() == 3 ? std::ranges::find(hub_states, words[1]) : std::end(hub_states);
    auto milliseconds = words.size() == 3 ? parse_number(words[2]) : std::nullopt;
    if (state == std::end(hub_states) || !milliseconds || *milliseconds > back_within_max)
      return wrong("501 5.5.4 XSTATE state milliseconds");
    command.verb = ShadowVerb::state;
    command.state = static_cast<HubState>(state - std::begin(hub_states));
    command.milliseconds = *milliseconds;
  } else if (verb == "XLEVEL") {
    auto level = expect(2) ? parse_pressure_level(words[1]) : std::nullopt;
    if (!level) return wrong("501 5.5.4 XLEVEL normal|medium|high");
    command.verb = ShadowVerb::level;
    command.level = *level;
  } else if (verb == "XBACK") {
    auto id = words.size() == 4 ? parse_message_id(words[1]) : std::nullopt;
    auto generation = words.size() == 4 ? parse_generation(words[2]) : std::nullopt;
    auto number = words.size() == 4 ? parse_number(words[3]) : std::nullopt;
    if (!id || !generation || !number) return wrong("501 5.5.4 XBACK id generation number");
    command.verb = ShadowVerb::back;
    command.id = *id;
    command.generation = *generation;
    command.number = *number;
  } else if (verb == "XCHUNK") {
    auto id = words.size() > 1 ? parse_message_id(words[1]) : std::nullopt;
    if (!id || words.size() > 4 || (words.size() == 4 && words[3] != "LAST"))
      return wrong("501 5.5.4 XCHUNK id octets [LAST]");
    if (payload.size() > shadow_chunk_octets_max) return wrong("552 5.3.4 XCHUNK: at most 262144 octets");
    command.verb = ShadowVerb::chunk;
    command.id = *id;
    command.last = words.size() == 4;
    command.octets = payload;
  } else if (verb == "XFORGET") {
    auto id = words.size() == 3 ? parse_message_id(words[1]) : std::nullopt;
    auto generation = words.size() == 3 ? parse_generation(words[2]) : std::nullopt;
    if (!id || !generation) return wrong("501 5.5.4 XFORGET id generation");
    command.verb = ShadowVerb::forget;
    command.id = *id;
    command.generation = *generation;
  } else if (verb == "XPOLL") {
    auto limit = words.size() == 2 ? parse_number(words[1]) : std::nullopt;
    if (!limit || *limit == 0) return wrong("501 5.5.4 XPOLL takes a number");
    command.verb = ShadowVerb::poll;
    command.limit = std::min<std::uint64_t>(*limit, shadow_batch_max);
  } else if (verb == "XBEAT") {
    bool is_whole = words.size() == 3 || (words.size() == 4 && is_agreement(words[3]));
    auto epoch = is_whole ? parse_number(words[1]) : std::nullopt;
    auto sequence = is_whole ? parse_number(words[2]) : std::nullopt;
    if (!epoch || !sequence) return wrong("501 5.5.4 XBEAT epoch sequence [agreement]");
    if (words.size() == 4) command.agreement = words[3];
    command.verb = ShadowVerb::beat;
    command.epoch = Epoch{*epoch};
    command.sequence = Sequence{*sequence};
  } else if (verb == "XVOTE") {
    auto question = parse_vote(words);
    if (!question) return wrong("501 5.5.4 XVOTE hub spool epoch agreement [PROBE]");
    command.verb = ShadowVerb::vote;
    command.vote = std::move(*question);
  } else if (verb == "XCONFIG") {
    auto values = expect(2) ? parse_configuration(payload) : std::nullopt;
    if (!values) return wrong("501 5.5.4 XCONFIG: lines of a key and a value expected");
    command.verb = ShadowVerb::config;
    command.configuration = std::move(*values);
  } else if (const bool is_order = verb == "XORDER"; is_order || verb == "XQUERY") {
    if (!expect(is_order ? 3 : 2) || !is_query_target(words.back()) || (is_order && !is_order_by(words[1])))
      return wrong("501 5.5.4 XQUERY path, XORDER who path");
    command.verb = is_order ? ShadowVerb::order : ShadowVerb::query;
    command.target = words.back();
    if (is_order) command.by = words[1];
  } else if (verb == "XANSWER") {
    auto number = expect(3) ? parse_number(words[1]) : std::nullopt;
    auto offset = expect(3) ? parse_number(words[2]) : std::nullopt;
    if (!number || !offset) return wrong("501 5.5.4 XANSWER number offset");
    command.verb = ShadowVerb::answer;
    command.number = *number;
    command.offset = *offset;
  } else if (verb == "XEPOCHS") {
    if (!expect(1)) return wrong("501 5.5.4 XEPOCHS takes nothing");
    command.verb = ShadowVerb::epochs;
  } else if (is_list(verb)) {
    if (!expect(2)) return wrong("501 5.5.4 " + std::string(verb) + " takes the number of octets");
    if (!payload.empty() && !payload.ends_with("\r\n")) return wrong("501 5.5.4 lines must end with CRLF");
    command.verb = verb == "XDONE"     ? ShadowVerb::done
                   : verb == "XASK"    ? ShadowVerb::ask
                   : verb == "XSEEN"   ? ShadowVerb::seen
                   : verb == "XREHOME" ? ShadowVerb::rehome
                   : verb == "XNOTE"   ? ShadowVerb::note
                   : verb == "XGONE"   ? ShadowVerb::gone
                   : verb == "XOVER"   ? ShadowVerb::over
                                       : ShadowVerb::suspect;
    std::size_t count = 0;
    while (!payload.empty()) {
      if (++count > shadow_batch_max) return wrong("552 5.5.3 more than 400 lines");
      auto line = payload.substr(0, payload.find("\r\n"));
      payload.remove_prefix(line.size() + 2);
      if (command.verb == ShadowVerb::done) {
        auto item = parse_discard(line);
        if (!item) return wrong("501 5.5.4 XDONE: bad line");
        command.discards.push_back(std::move(*item));
      } else if (command.verb == ShadowVerb::ask || command.verb == ShadowVerb::rehome) {
        auto id = parse_message_id(line);
        if (!id) return wrong("501 5.5.4 " + std::string(verb) + ": bad id");
        command.ids.push_back(*id);
      } else if (command.verb == ShadowVerb::note) {
        auto item = parse_note(line);
        if (!item) return wrong("501 5.5.4 XNOTE: bad line");
        command.notes.push_back(std::move(*item));
      } else if (command.verb == ShadowVerb::gone || command.verb == ShadowVerb::over) {
        auto run = parse_epoch(line);
        if (!run) return wrong("501 5.5.4 " + std::string(verb) + ": bad line");
        command.runs.push_back(std::move(*run));
      } else if (command.verb == ShadowVerb::suspect) {
        auto space = std::min(line.find(' '), line.size());
        auto id = parse_message_id(line.substr(0, space));
        auto crashes = parse_number(line.substr(std::min(space + 1, line.size())));
        if (!id || !crashes || *crashes == 0 || *crashes > 1'000'000)
          return wrong("501 5.5.4 XSUSPECT: bad line");
        command.suspects.emplace_back(*id, static_cast<std::uint32_t>(*crashes));
      } else {
        auto key = parse_number(line);
        if (!key) return wrong("501 5.5.4 XSEEN: bad key");
        command.keys.push_back(*key);
      }
    }
  } else {
    return wrong("500 5.5.2 unknown command");
  }
  return command;
}

}  // namespace

std::string format_indexes(const std::vector<std::uint32_t>& indexes) {
  std::string text;
  for (auto i : indexes) {
    if (!text.empty()) text += ',';
    text += std::to_string(i);
  }
  return text;
}

bool is_hub_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  });
}

Result<std::optional<ShadowCommand>> ShadowParser::next() {
  std::string_view rest = std::string_view(input_).substr(consumed_);
  auto end = rest.substr(0, shadow_line_octets_max).find("\r\n");
  if (end == std::string_view::npos) {
    if (rest.size() >= shadow_line_octets_max) return wrong("500 5.5.6 line too long");
    if (consumed_ != 0) {
      input_.erase(0, consumed_);
      consumed_ = 0;
    }
    return std::nullopt;
  }
  auto line = rest.substr(0, end);
  if (line.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos)
    return wrong("500 5.5.2 bare line end");
  auto words = split(line, ' ');
  auto verb = upper(words[0]);
  auto octets = payload_octets(verb, words);
  if (!octets || *octets > 2 * shadow_payload_octets_max)
    return wrong("501 5.5.4 " + verb + ": bad arguments or size");
  if (rest.size() - end - 2 < *octets) {
    if (consumed_ != 0) {
      input_.erase(0, consumed_);
      consumed_ = 0;
    }
    return std::nullopt;
  }
  auto command = parse_command(verb, words, rest.substr(end + 2, *octets));
  if (!command) return std::unexpected(command.error());
  consumed_ += end + 2 + *octets;
  if (consumed_ == input_.size()) {
    input_.clear();
    consumed_ = 0;
  }
  return std::optional<ShadowCommand>(std::move(*command));
}

std::string format_hub(const HubHello& hello, int offered) {
  return "XHUB " + std::to_string(offered) + ' ' + format_hello(hello) + "\r\n";
}

std::string format_proof(std::string_view proof) {
  return "XPROOF " + std::string(proof) + "\r\n";
}

std::string format_chunk(MessageId id, std::string_view octets, bool last) {
  std::string out =
      "XCHUNK " + to_string(id) + ' ' + std::to_string(octets.size()) + (last ? " LAST\r\n" : "\r\n");
  out += octets;
  return out;
}

std::string format_forget(MessageId id, Generation generation) {
  return "XFORGET " + to_string(id) + ' ' + std::to_string(generation.value) + "\r\n";
}

std::string format_done(const std::vector<DiscardItem>& items) {
  std::string lines;
  for (const auto& item : items) lines += format_discard(item) + "\r\n";
  return "XDONE " + std::to_string(lines.size()) + "\r\n" + lines;
}

std::string format_poll(std::uint64_t limit) {
  return "XPOLL " + std::to_string(limit) + "\r\n";
}

std::string format_suspect(const std::vector<std::pair<MessageId, std::uint32_t>>& suspects) {
  std::string lines;
  for (const auto& [id, crashes] : suspects) lines += to_string(id) + ' ' + std::to_string(crashes) + "\r\n";
  return "XSUSPECT " + std::to_string(lines.size()) + "\r\n" + lines;
}

std::string format_seen(const std::vector<std::uint64_t>& keys) {
  std::string lines;
  for (auto key : keys) lines += std::to_string(key) + "\r\n";
  return "XSEEN " + std::to_string(lines.size()) + "\r\n" + lines;
}

std::string format_epochs() {
  return "XEPOCHS\r\n";
}

std::string format_vote(const VoteQuestion& question) {
  return "XVOTE " + question.hub + ' ' + to_string(question.spool) + ' ' +
         std::to_string(question.over_below.value) + ' ' + question.agreement +
         (question.is_probe ? " PROBE\r\n" : "\r\n");
}

std::string format_epoch(const KnownEpoch& known) {
  return known.hub + ' ' + to_string(known.spool) + ' ' + std::to_string(known.lowest.value);
}

std::optional<KnownEpoch> parse_epoch(std::string_view line) {
  auto words = split(line, ' ');
  if (words.size() != 3 || !is_hub_name(words[0])) return std::nullopt;
  auto spool = parse_spool_id(words[1]);
  auto lowest = parse_number(words[2]);
  if (!spool || !lowest || *lowest > INT64_MAX) return std::nullopt;
  return KnownEpoch{std::string(words[0]), *spool, Epoch{*lowest}};
}

std::vector<KnownEpoch> parse_epochs(std::string_view text) {
  std::vector<KnownEpoch> result;
  for (auto line : split(text, '\n'))
    if (auto known = parse_epoch(line)) result.push_back(std::move(*known));
  return result;
}

namespace {
std::string format_runs(std::string_view verb, const std::vector<KnownEpoch>& runs) {
  std::string lines;
  for (const auto& run : runs) lines += format_epoch(run) + "\r\n";
  return std::string(verb) + ' ' + std::to_string(lines.size()) + "\r\n" + lines;
}
}  // namespace

std::string format_level(PressureLevel level) {
  return "XLEVEL " + std::string(to_string(level)) + "\r\n";
}

std::string format_gone(const std::vector<KnownEpoch>& gone) {
  return format_runs("XGONE", gone);
}
std::string format_over(const std::vector<KnownEpoch>& over) {
  return format_runs("XOVER", over);
}

std::string format_beat(Epoch epoch, Sequence sequence, std::string_view agreement) {
  auto command = "XBEAT " + std::to_string(epoch.value) + ' ' + std::to_string(sequence.value);
  if (!agreement.empty()) command.append(" ").append(agreement);
  return command + "\r\n";
}

std::string format_back(MessageId id, Generation generation, std::uint64_t number) {
  return "XBACK " + to_string(id) + ' ' + std::to_string(generation.value) + ' ' + std::to_string(number) +
         "\r\n";
}

std::string_view to_string(HubState state) {
  return hub_states[static_cast<std::size_t>(state)];
}

std::string format_state(HubState state, Duration back_within) {
  auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(back_within).count();
  return "XSTATE " + std::string(to_string(state)) + ' ' +
         std::to_string(std::max<std::int64_t>(milliseconds, 0)) + "\r\n";
}

std::string format_rehome(const std::vector<MessageId>& ids) {
  std::string lines;
  for (auto id : ids) lines += to_string(id) + "\r\n";
  return "XREHOME " + std::to_string(lines.size()) + "\r\n" + lines;
}

std::string format_rehomed(MessageId id, RehomeState state) {
  return to_string(id) + ' ' + std::string(rehome_states[static_cast<std::size_t>(state)]);
}

std::optional<std::pair<MessageId, RehomeState>> parse_rehomed(std::string_view line) {
  auto words = split(line, ' ');
  auto id = words.size() == 2 ? parse_message_id(words[0]) : std::nullopt;
  auto state = words.size() == 2 ? std::ranges::find(rehome_states, words[1]) : std::end(rehome_states);
  if (!id || state == std::end(rehome_states)) return std::nullopt;
  return std::pair{*id, static_cast<RehomeState>(state - std::begin(rehome_states))};
}

std::string format_ask(const std::vector<MessageId>& ids) {
  std::string lines;
  for (auto id : ids) lines += to_string(id) + "\r\n";
  return "XASK " + std::to_string(lines.size()) + "\r\n" + lines;
}

std::string format_answer(const AskAnswer& a) {
  std::string line = to_string(a.id) + ' ' + std::string(ask_kinds[static_cast<std::size_t>(a.kind)]) + ' ' +
                     std::to_string(a.generation.value);
  if (a.kind == AskKind::held) line += ' ' + a.owner_hub + ' ' + to_string(a.owner_spool);
  return line;
}

std::optional<AskAnswer> parse_answer(std::string_view line) {
  auto words = split(line, ' ');
  if (words.size() < 3) return std::nullopt;
  AskAnswer answer;
  auto id = parse_message_id(words[0]);
  auto kind = std::ranges::find(ask_kinds, words[1]);
  auto generation = parse_number(words[2]);
  if (!id || kind == std::end(ask_kinds) || !generation || *generation > 0xffffffffU) return std::nullopt;
  answer.id = *id;
  answer.kind = static_cast<AskKind>(kind - std::begin(ask_kinds));
  answer.generation = Generation{static_cast<std::uint32_t>(*generation)};
  if (answer.kind == AskKind::held) {
    auto spool = words.size() == 5 ? parse_spool_id(words[4]) : std::nullopt;
    if (!spool || !is_hub_name(words[3])) return std::nullopt;
    answer.owner_hub = words[3];
    answer.owner_spool = *spool;
  } else if (words.size() != 3) {
    return std::nullopt;
  }
  return answer;
}

std::string format_discard(const DiscardItem& item) {
  return std::to_string(item.key) + ' ' + to_string(item.id) + ' ' + std::to_string(item.generation.value) +
         ' ' +
         (item.superseded ? "superseded"
          : item.all      ? "all"
                          : format_indexes(item.recipients));
}

std::optional<DiscardItem> parse_discard(std::string_view line) {
  auto words = split(line, ' ');
  if (words.size() != 4) return std::nullopt;
  DiscardItem item;
  auto key = parse_number(words[0]);
  auto id = parse_message_id(words[1]);
  auto generation = parse_generation(words[2]);
  if (!key || !id || !generation) return std::nullopt;
  item.key = *key;
  item.id = *id;
  item.generation = *generation;
  item.all = words[3] == "all";
  item.superseded = words[3] == "superseded";
  if (!item.all && !item.superseded) {
    auto recipients = parse_indexes(words[3]);
    if (!recipients) return std::nullopt;
    item.recipients = std::move(*recipients);
  }
  return item;
}

std::string format_challenge(const HubHello& hello, std::string_view proof, ShadowVersion version) {
  auto text = format_hello(hello) + ' ' + std::string(proof);
  if (version.used != version.offered) text += ' ' + std::to_string(version.used);
  return text;
}

std::optional<HubChallenge> parse_challenge(std::string_view text) {
  auto words = split(text, ' ');
  auto hello = words.size() == 6 || words.size() == 7 ? parse_hello(words, 0) : std::nullopt;
  if (!hello) return std::nullopt;
  HubChallenge challenge{std::move(*hello), std::string(words[5]), std::nullopt};
  if (words.size() == 7) {
    auto version = parse_number(words[6]);
    if (!version || *version == 0 || *version > 10'000) return std::nullopt;
    challenge.version = static_cast<int>(*version);
  }
  return challenge;
}

}  // namespace umbra::smtp
