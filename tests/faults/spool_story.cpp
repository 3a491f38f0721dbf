#include "tests/faults/spool_story.h"

#include <fmt/format.h>
#include <sqlite3.h>

namespace umbra::storage {
namespace {

constexpr SpoolId hub2{0xF000'0000'0000'0022};
constexpr SpoolId hub3{0x33};

/// Row keys of the story's first epoch, whatever the spool would give: the story must be the same after a
/// restart.
RowId row(int number) {
  return RowId{(std::int64_t{1} << 40) + 1000 + number};
}

NewMessage message(SpoolBox& box, int number, std::vector<std::string> addresses,
                   std::string destination = "example.com") {
  auto made = new_message(*box.spool, std::move(addresses), std::move(destination));
  made.row = row(number);
  made.id = {box.spool->id(), static_cast<std::uint64_t>(row(number).value)};
  made.holders = {holder("hub2", hub2.value), holder("hub3", hub3.value, Holder::State::offered)};
  return made;
}

Shadow shadow(int number, std::vector<std::string> addresses) {
  Shadow made;
  made.row = row(number);
  made.id = {hub2, static_cast<std::uint64_t>(number)};
  made.generation = Generation{1};
  made.owner_hub = "hub2";
  made.owner_spool = hub2;
  made.owner_epoch = Epoch{7};
  made.envelope = envelope_for(std::move(addresses));
  made.size = 6;
  made.offered = {holder("hub1", 1)};
  return made;
}

Result<void> store(Writer& writer, const Shadow& made) {
  auto stored = writer.insert_shadow(made);
  if (!stored) return std::unexpected(stored.error());
  return *stored ? writer.put_chunk(made.row, 0, "shadow") : Result<void>();
}

/// What hub2 tells of a message of its own; no recipients: all of it is done.
OutboxItem told(std::uint64_t number, std::vector<std::uint32_t> recipients) {
  OutboxItem item;
  item.id = {hub2, number};
  item.generation = Generation{1};
  item.all = recipients.empty();
  item.recipients = std::move(recipients);
  return item;
}

Step single(std::string name, std::function<Result<void>(SpoolBox&, Writer&)> job) {
  return {std::move(name),
          [job = std::move(job)](SpoolBox& box) {
            return box.write([&](Writer& writer) { return job(box, writer); });
          },
          0, false};
}

Step tried(std::string name, AttemptRecord record) {
  return single(std::move(name), [record = std::move(record)](SpoolBox&, Writer& writer) {
    return outcome_of(writer.record_attempt(record));
  });
}

/// Several operations in one commit; all must succeed.
Step together(std::string name, std::vector<std::function<Result<void>(SpoolBox&, Writer&)>> jobs) {
  return {std::move(name),
          [jobs = std::move(jobs)](SpoolBox& box) {
            Result<void> all;
            std::size_t completed = 0;
            for (const auto& job : jobs) {
              box.spool->write([&](Writer& writer) { return job(box, writer); }, 100,
                               [&](Result<void> result) {
                                 ++completed;
                                 if (!result) all = std::move(result);
                               });
            }
            box.run();
            return completed == jobs.size() ? all : failure(std::errc::timed_out, "no completion came");
          },
          0, false};
}

Step restart() {
  return {"restart",
          [](SpoolBox& box) {
            box.close();
            return box.open();
          },
          0, true};
}

}  // namespace

std::vector<Step> spool_story() {
  std::vector<Step> steps;
  steps.push_back(single("accept 1", [](SpoolBox& box, Writer& writer) {
    return accept(writer, message(box, 1, {"a@example.com"}));
  }));
  steps.push_back(together("accept 2 and 3 together",
                           {
                               [](SpoolBox& box, Writer& writer) {
                                 return accept(writer, message(box, 2, {"a@example.com", "b@example.com"}));
                               },
                               [](SpoolBox& box, Writer& writer) {
                                 auto three = message(box, 3, {"a@other.example"}, "other.example");
                                 three.is_protected = false;
                                 return accept(writer, three, std::string(9000, '3'));
                               },
                           }));
  steps.push_back(single("shadow 10", [](SpoolBox&, Writer& writer) {
    return store(writer, shadow(10, {"a@example.com", "b@example.com"}));
  }));
  for (std::uint32_t chunk = 0; chunk < 3; ++chunk) {
    steps.push_back(single(fmt::format("chunk {} of 4", chunk), [chunk](SpoolBox&, Writer& writer) {
      return writer.put_chunk(row(4), chunk, std::string(5000, static_cast<char>('a' + chunk)));
    }));
    steps.back().repeat = chunk;
  }
  steps.push_back(single("accept 4", [](SpoolBox& box, Writer& writer) {
    auto four = message(box, 4, {"a@example.com"});
    four.size = 15'000;
    return writer.insert_message(four);
  }));
  steps.back().repeat = 3;
  auto partly = attempt(row(2), {delivered(0), deferred(1)}, {{"example.com", at(60), 1}});
  partly.last_error = "451 later";
  steps.push_back(tried("deliver 2 in part", partly));
  steps.push_back(single("bounce 3 with a notification", [](SpoolBox& box, Writer& writer) {
    auto dsn = message(box, 5, {"sender@example.org"}, "example.org");
    dsn.holders.clear();
    dsn.is_protected = false;
    if (auto accepted = accept(writer, dsn, "dsn"); !accepted) return accepted;
    auto record = attempt(row(3), {failed(0)}, {}, "other.example");
    record.fork = row(5);
    return outcome_of(writer.record_attempt(record));
  }));
  steps.push_back(single("discard part of 10", [](SpoolBox&, Writer& writer) {
    return outcome_of(writer.apply_discard(told(10, {1}), hub2));
  }));
  steps.push_back(
      together("shadow 11 and 12 together",
               {
                   [](SpoolBox&, Writer& writer) { return store(writer, shadow(11, {"a@example.com"})); },
                   [](SpoolBox&, Writer& writer) {
                     return store(writer, shadow(12, {"a@example.com", "c@example.com"}));
                   },
               }));
  steps.push_back(
      single("hub2 tells that 12 is held, warned of and was tried twice", [](SpoolBox&, Writer& writer) {
        MessageNote note{.number = 3,
                         .is_held = true,
                         .alarm_at = at(172'800),
                         .attempts = {{"example.com", 2}},
                         .last_error = "451 later",
                         .history = {}};
        return outcome_of(writer.note_shadow({hub2, 12}, Generation{1}, hub2, note));
      }));
  steps.push_back(tried("deliver 1", attempt(row(1), {delivered(0)})));
  steps.push_back(single("take over 12", [](SpoolBox& box, Writer& writer) {
    auto taken = message(box, 12, {"a@example.com", "c@example.com"});
    taken.id = {hub2, 12};
    taken.generation = Generation{2};
    taken.holders = {holder("hub3", hub3.value), holder("hub2", hub2.value, Holder::State::former_owner)};
    taken.history = {{Generation{2}, OwnerRecord::How::taken_over, "hub1", SpoolId{1}, at(40), 0}};
    return writer.take_over(taken);
  }));
  steps.push_back(single("protect the notification", [](SpoolBox&, Writer& writer) {
    return writer.set_holders(row(5), {holder("hub3", hub3.value)}, true);
  }));
  steps.push_back(single("discard 11", [](SpoolBox&, Writer& writer) {
    return outcome_of(writer.apply_discard(told(11, {}), hub2));
  }));
  steps.push_back(restart());
  steps.push_back({"confirm what hub2 heard",
                   [](SpoolBox& box) -> Result<void> {
                     auto items = box.read([](Reader& reader) { return reader.outbox(hub2, 0, 2); });
                     if (!items) return std::unexpected(items.error());
                     std::vector<std::uint64_t> keys;
                     for (const auto& item : *items) keys.push_back(item.key);
                     return box.write([&](Writer& writer) { return writer.outbox_confirmed(keys); });
                   },
                   0, false});
  steps.push_back(single(
      "hold 4", [](SpoolBox&, Writer& writer) { return writer.set_state(row(4), MessageState::held, {}); }));
  steps.push_back(single("hub3 has heard that 4 is held",
                         [](SpoolBox&, Writer& writer) { return writer.note_told(row(4), hub3, 1); }));
  steps.push_back(single("hub2 has to hear it again",
                         [](SpoolBox&, Writer& writer) { return writer.owe_note(row(4), hub2); }));
  steps.push_back(single("release 12", [](SpoolBox&, Writer& writer) {
    return writer.set_state(row(12), MessageState::queued, {{"example.com", at(20), 0}});
  }));
  steps.push_back(
      tried("deliver 12 in part", attempt(row(12), {delivered(1)}, {{"example.com", at(30), 1}})));
  steps.push_back(single("release 4", [](SpoolBox&, Writer& writer) {
    return writer.set_state(row(4), MessageState::queued, {{"example.com", at(5), 0}});
  }));
  steps.push_back(single("cede 4", [](SpoolBox&, Writer& writer) {
    return writer.cede(row(4), Generation{2}, "hub3", hub3, Epoch{2});
  }));
  steps.push_back(single("accept 20 and 21", [](SpoolBox& box, Writer& writer) {
    if (auto first = accept(writer, message(box, 20, {"a@example.com", "b@example.com"})); !first)
      return first;
    return accept(writer, message(box, 21, {"a@example.com"}), std::string(9000, '2'));
  }));
  steps.push_back(single("begin to hand over 20", [](SpoolBox&, Writer& writer) {
    return writer.begin_hand_over(row(20), holder("hub3", hub3.value));
  }));
  steps.push_back(single("begin to hand over 21", [](SpoolBox&, Writer& writer) {
    return writer.begin_hand_over(row(21), holder("hub3", hub3.value));
  }));
  steps.push_back(single("take back 21", [](SpoolBox&, Writer& writer) {
    return writer.take_back(row(21), Generation{1}, false);
  }));
  steps.push_back(single("20 is hub3's, kept here", [](SpoolBox&, Writer& writer) {
    return writer.end_hand_over(row(20), Generation{2}, holder("hub3", hub3.value), Epoch{2},
                                Writer::HandOverEnd::kept);
  }));
  steps.push_back(single("hand over 21 after all", [](SpoolBox&, Writer& writer) {
    if (auto begun = writer.begin_hand_over(row(21), holder("hub3", hub3.value)); !begun) return begun;
    return writer.end_hand_over(row(21), Generation{2}, holder("hub3", hub3.value), Epoch{2},
                                Writer::HandOverEnd::moved);
  }));
  steps.push_back(single("20 comes back", [](SpoolBox& box, Writer& writer) -> Result<void> {
    auto back = message(box, 22, {"a@example.com", "b@example.com"});
    back.id = {box.spool->id(), static_cast<std::uint64_t>(row(20).value)};
    back.generation = Generation{3};
    auto accepted = writer.accept_hand_over(back, true);
    if (!accepted) return std::unexpected(accepted.error());
    return accepted->wants_body ? failure(std::errc::bad_message, "the body was here") : Result<void>{};
  }));
  steps.push_back(single("hub3 hands 23 over", [](SpoolBox& box, Writer& writer) -> Result<void> {
    auto given = message(box, 23, {"a@example.com"});
    given.id = {hub3, 23};
    given.generation = Generation{5};
    auto accepted = writer.accept_hand_over(given, false);
    if (!accepted) return std::unexpected(accepted.error());
    return accepted->wants_body ? writer.put_chunk(accepted->row, 0, "body\n") : Result<void>{};
  }));
  // Hop retention: what is held becomes ours without its body, and goes on; what is not held leaves nothing.
  steps.push_back(single("shadow 30", [](SpoolBox&, Writer& writer) {
    return store(writer, shadow(30, {"a@example.com", "b@example.com"}));
  }));
  steps.push_back(single("discard part of 30", [](SpoolBox&, Writer& writer) {
    return outcome_of(writer.apply_discard(told(30, {1}), hub2));
  }));
  steps.push_back(
      {"hub2 hands 30 over without its body, and 31 that is not here",
       [](SpoolBox& box) -> Result<void> {
         Result<void> taken = failure(std::errc::timed_out, "no completion came");
         Result<void> refused;
         for (int number : {30, 31}) {
           box.spool->write(
               [&box, number](Writer& writer) -> Result<void> {
                 auto given = message(box, number + 10, {"a@example.com", "b@example.com"});
                 given.id = {hub2, static_cast<std::uint64_t>(number)};
                 given.generation = Generation{2};
                 given.size = 6;
                 given.holders = {holder("hub2", hub2.value),
                                  holder("hub3", hub3.value, Holder::State::offered)};
                 auto accepted = writer.accept_hand_over(given, false);
                 if (!accepted) return std::unexpected(accepted.error());
                 return accepted->wants_body ? failure(std::errc::no_such_file_or_directory, "not held")
                                             : Result<void>{};
               },
               100,
               [&, number](Result<void> result) { (number == 30 ? taken : refused) = std::move(result); });
         }
         box.run();
         if (refused) return failure(std::errc::bad_message, "31 was taken without a body");
         return taken;
       },
       0, false});
  steps.push_back(single("begin to hand 30 on", [](SpoolBox&, Writer& writer) {
    return writer.begin_hand_over(row(30), holder("hub3", hub3.value));
  }));
  steps.push_back(single("30 is hub3's, kept here, and hub2 may let go", [](SpoolBox&, Writer& writer) {
    return writer.end_hand_over(row(30), Generation{3}, holder("hub3", hub3.value), Epoch{2},
                                Writer::HandOverEnd::kept);
  }));
  steps.push_back(single("30 is done", [](SpoolBox&, Writer& writer) {
    auto item = told(30, {});
    item.generation = Generation{3};
    return outcome_of(writer.apply_discard(item, hub3));
  }));
  steps.push_back(single("remember hub2", [](SpoolBox&, Writer& writer) {
    return writer.remember_peer({"hub2", hub2, Epoch{7}, Sequence{100}});
  }));
  steps.push_back(single("give up 6", [](SpoolBox&, Writer& writer) {
    if (auto put = writer.put_chunk(row(6), 0, "never accepted"); !put) return put;
    return writer.drop_body(row(6));
  }));
  steps.push_back(tried("deliver 2 and 12", attempt(row(2), {delivered(1)})));
  steps.push_back(tried("deliver 12", attempt(row(12), {delivered(0)})));
  steps.push_back(single("hub2 is gone for good",
                         [](SpoolBox&, Writer& writer) { return writer.outbox_forget_spool(hub2); }));
  steps.push_back({"next epoch",
                   [](SpoolBox& box) {
                     Result<void> result = failure(std::errc::timed_out, "no completion came");
                     box.spool->begin_next_epoch([&](Result<void> outcome) { result = std::move(outcome); });
                     box.run();
                     return result;
                   },
                   0, false});
  return steps;
}

std::vector<Step> safety_net_story() {
  auto steps = spool_story();
  steps.push_back(
      single("give way", [](SpoolBox&, Writer& writer) { return outcome_of(writer.give_way(1)); }));
  steps.push_back(single("keep again", [](SpoolBox&, Writer& writer) { return writer.keep_again(); }));
  steps.push_back(single("send one again", [](SpoolBox& box, Writer& writer) -> Result<void> {
    auto again = message(box, 40, {"a@example.com"});
    again.envelope.resent = true;
    Resend resend;
    resend.request = "request";
    resend.filter = "all";
    resend.resent = 1;
    if (auto accepted = accept(writer, again); !accepted) return accepted;
    return writer.put_resend(resend);
  }));
  steps.push_back(tried("deliver it again", attempt(row(40), {delivered(0)})));
  steps.push_back(single("accept 41", [](SpoolBox& box, Writer& writer) {
    return accept(writer, message(box, 41, {"a@example.com"}), std::string(9000, '4'));
  }));
  steps.push_back(tried("deliver 41", attempt(row(41), {delivered(0)})));
  steps.push_back(restart());
  steps.push_back(single(
      "trim", [](SpoolBox&, Writer& writer) { return outcome_of(writer.trim_kept(WallTime::max(), 2)); }));
  return steps;
}

std::vector<Step> large_body_story() {
  std::vector<Step> steps;
  steps.push_back(single("accept a large one", [](SpoolBox& box, Writer& writer) -> Result<void> {
    auto large = message(box, 1, {"a@example.com"});
    large.size = 24 * 50'000;
    for (std::uint32_t chunk = 0; chunk < 24; ++chunk) {
      if (auto put = writer.put_chunk(row(1), chunk, std::string(50'000, 'x')); !put) return put;
    }
    return writer.insert_message(large);
  }));
  steps.push_back(tried("deliver it", attempt(row(1), {delivered(0)})));
  steps.push_back(single("accept a small one", [](SpoolBox& box, Writer& writer) {
    return accept(writer, message(box, 2, {"a@example.com"}));
  }));
  steps.push_back(single("accept 30", [](SpoolBox& box, Writer& writer) {
    return accept(writer, message(box, 30, {"a@example.com", "b@example.com"}), std::string(9000, '3'));
  }));
  steps.push_back(tried("deliver 30 in part",
                        attempt(row(30), {delivered(0), deferred(1)}, {{"example.com", at(60), 1}})));
  steps.push_back(single("the operator deletes what is left of 30", [](SpoolBox&, Writer& writer) {
    return writer.finish_message(row(30), std::nullopt, SpoolId{}, Left::deleted);
  }));
  return steps;
}

// ---------------------------------------------------------------------------------------------- what is
// there

namespace {

std::string text_of(const std::vector<Holder>& holders) {
  std::string out;
  for (const auto& one : holders)
    out += fmt::format(" {}/{}/{}", one.hub, to_string(one.spool), static_cast<int>(one.state));
  return out;
}

std::string text_of(const MessageNote& note) {
  auto out = fmt::format("  note {} held {} alarm {} error '{}'", note.number, note.is_held,
                         note.alarm_at.time_since_epoch().count(), note.last_error);
  for (const auto& [destination, attempts] : note.attempts)
    out += fmt::format(" {} {}", destination, attempts);
  for (const auto& owner : note.history)
    out += fmt::format(" [{} {} {} {} {}]", owner.generation.value, static_cast<int>(owner.how), owner.hub,
                       owner.since.time_since_epoch().count(), owner.attempts);
  return out + "\n";
}

std::string body_of(Reader& reader, RowId body) {
  std::string all;
  for (std::uint32_t number = 0;; ++number) {
    auto chunk = reader.chunk(body, number).value();
    if (chunk.empty()) break;
    all += chunk;
  }
  return fmt::format("{} octets, hash {:x}", all.size(), std::hash<std::string>{}(all));
}

std::string read_contents(Reader& reader) {
  std::string out;
  constexpr RowId last{INT64_MAX};
  for (auto found : reader.messages(RowId{0}, last, 1000).value()) {
    auto message = reader.message(found).value().value();
    out += fmt::format(
        "message {:x} {} generation {} state {} protected {} size {} alarm {} error '{}'\n  envelope {:x}\n",
        message.row.value, to_string(message.id), message.generation.value, static_cast<int>(message.state),
        message.is_protected, message.size, message.alarm_at.time_since_epoch().count(), message.last_error,
        std::hash<std::string>{}(encode(message.envelope)));
    out += "  holders" + text_of(message.holders) + "\n  body " + body_of(reader, found) + "\n";
    out += text_of(note_of(message));
    for (const auto& entry : message.queue) {
      out += fmt::format("  queue {} {} {}\n", entry.destination, entry.due.time_since_epoch().count(),
                         entry.attempts);
    }
    for (const auto& outcome : message.progress) {
      out += fmt::format("  progress {} {} {}\n", outcome.index, static_cast<int>(outcome.state),
                         outcome.detail);
    }
  }
  for (const auto& [destination, when] : reader.due_by_destination().value()) {
    out += fmt::format("due {} {}:", destination, when.time_since_epoch().count());
    for (const auto& due : reader.due(destination, WallTime::max(), 1000, {}).value()) {
      out += fmt::format(" {:x}@{}/{}", due.row.value, due.entry.due.time_since_epoch().count(),
                         due.entry.attempts);
    }
    out += "\n";
  }
  for (auto found : reader.alarms(WallTime::max(), 1000).value())
    out += fmt::format("alarm {:x}\n", found.value);
  for (auto found : reader.unprotected(RowId{0}, 1000).value())
    out += fmt::format("unprotected {:x}\n", found.value);
  for (const auto& shadow : reader.shadows(RowId{0}, 1000).value()) {
    out += fmt::format("shadow {:x} {} generation {} of {} {} epoch {} size {} envelope {:x}",
                       shadow.row.value, to_string(shadow.id), shadow.generation.value, shadow.owner_hub,
                       to_string(shadow.owner_spool), shadow.owner_epoch.value, shadow.size,
                       std::hash<std::string>{}(encode(shadow.envelope)));
    out += " done";
    for (auto index : shadow.done) out += fmt::format(" {}", index);
    out += " offered" + text_of(shadow.offered) + "\n  body " + body_of(reader, shadow.row) + "\n" +
           text_of(shadow.note);
  }
  for (auto to : {hub2, hub3}) {
    for (const auto& item : reader.outbox(to, 0, 1000).value()) {
      out += fmt::format("owed {} {} generation {} all {}", item.hub, to_string(item.id),
                         item.generation.value, item.all);
      for (auto index : item.recipients) out += fmt::format(" {}", index);
      out += "\n";
    }
  }
  for (const auto& kept : reader.kept(WallTime{}, RowId{0}, WallTime::max(), 1000).value()) {
    out += fmt::format("kept {:x} {} shadow {} of {} octets {} envelope {:x}", kept.row.value,
                       to_string(kept.id), kept.is_shadow, to_string(kept.owner_spool), kept.octets,
                       std::hash<std::string>{}(encode(kept.envelope)));
    for (const auto& recipient : kept.delivered)
      out += fmt::format(" {} {}", recipient.index, recipient.next_hop);
    out += "\n  body " + body_of(reader, kept.row) + "\n";
  }
  for (const auto& resend : reader.resends(100).value())
    out += fmt::format("resend {} {} {}\n", resend.request, resend.filter, resend.resent);
  for (auto to : {hub2, hub3})
    for (const auto& owed : reader.notes_owed(to, RowId{0}, 1000).value())
      out += fmt::format("not told {} {:x} {}\n", to_string(to), owed.row.value, owed.note.number);
  for (const auto& peer : reader.peers().value()) {
    out += fmt::format("peer {} {} {} {}\n", peer.hub, to_string(peer.spool), peer.epoch.value,
                       peer.sequence.value);
  }
  auto counts = reader.counts().value();
  out += fmt::format("counts {} {} {} {} {} {} {}\n", counts.messages, counts.held, counts.unprotected,
                     counts.shadows, counts.outbox, counts.kept, counts.kept_octets);
  return out;
}

}  // namespace

std::string contents(SpoolBox& box) {
  std::string out;
  box.spool->read([&](Reader& reader) { out = read_contents(reader); }, [] {});
  box.run();
  // A spool that had to be made a second time has another id; the story is the same.
  auto own = to_string(box.spool->id());
  for (auto place = out.find(own); place != std::string::npos; place = out.find(own, place))
    out.replace(place, own.size(), "own");
  return out;
}

std::string damage(const MemoryDisk& disk) {
  sqlite3* database = nullptr;
  std::string found;
  if (sqlite3_open_v2("/spool/spool.db", &database, SQLITE_OPEN_READWRITE, disk.name().c_str()) !=
      SQLITE_OK) {
    found = "cannot be opened\n";
  }
  sqlite3_db_config(database, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  struct Check {
    const char* what;
    const char* query;  // gives rows only if something is wrong
  };
  const Check checks[] = {
      {"integrity", "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'"},
      {"body without owner",
       "SELECT row FROM bodies WHERE row NOT IN (SELECT row FROM messages UNION SELECT row FROM shadows "
       "UNION SELECT row FROM kept "
       "UNION SELECT body FROM unfinished UNION SELECT body FROM garbage)"},
      {"chunk without owner",
       "SELECT body FROM chunks WHERE body NOT IN (SELECT row FROM messages UNION SELECT row FROM shadows "
       "UNION SELECT row FROM kept "
       "UNION SELECT body FROM unfinished UNION SELECT body FROM garbage)"},
      {"garbage with an owner",
       "SELECT body FROM garbage WHERE body IN (SELECT row FROM messages UNION SELECT row FROM shadows UNION "
       "SELECT row FROM kept)"},
      {"message and shadow of one row", "SELECT row FROM messages JOIN shadows USING(row)"},
      {"kept and message or shadow of one row",
       "SELECT row FROM kept WHERE row IN (SELECT row FROM messages UNION SELECT row FROM shadows)"},
      {"kept without body", "SELECT row FROM kept WHERE size > 0 AND row NOT IN (SELECT row FROM bodies)"},
      {"unfinished with an owner",
       "SELECT body FROM unfinished WHERE body IN (SELECT row FROM messages UNION SELECT row FROM shadows "
       "UNION SELECT row FROM kept)"},
      {"envelope without message", "SELECT row FROM envelopes WHERE row NOT IN (SELECT row FROM messages)"},
      {"message without envelope",
       "SELECT row FROM messages WHERE envelope IS NULL AND row NOT IN (SELECT row FROM envelopes)"},
      {"progress without message", "SELECT row FROM progress WHERE row NOT IN (SELECT row FROM messages)"},
      {"wrong number of ended recipients",
       "SELECT row FROM messages m WHERE done <> (SELECT count(*) FROM progress p WHERE p.row = m.row AND "
       "p.state <> 0)"},
      {"due without queued message",
       "SELECT row FROM due WHERE row NOT IN (SELECT row FROM messages WHERE state = 0)"},
      {"note owed of no message that has one",
       "SELECT row FROM untold WHERE row NOT IN (SELECT row FROM messages WHERE noted > 0)"},
      {"fork without item",
       "SELECT key FROM outbox_forks WHERE key NOT IN (SELECT key FROM outbox WHERE forked = 1)"},
      {"wrong counts",
       "SELECT * FROM meta WHERE messages <> (SELECT count(*) FROM messages) OR held <> (SELECT count(*) "
       "FROM messages "
       "WHERE state IN (1, 3)) OR unprotected <> (SELECT count(*) FROM messages WHERE protection = 0) OR "
       "shadows <> (SELECT count(*) FROM shadows) OR outbox <> (SELECT count(*) FROM outbox) OR "
       "kept <> (SELECT count(*) FROM kept) OR kept_octets <> (SELECT coalesce(sum(octets), 0) FROM kept)"},
  };
  for (const auto& check : checks) {
    struct Found {
      std::string& text;
      const char* what;
    } note{found, check.what};
    auto take = [](void* to, int, char** values, char**) {
      auto& place = *static_cast<Found*>(to);
      place.text += fmt::format("{}: {}\n", place.what, values[0] == nullptr ? "NULL" : values[0]);
      return 0;
    };
    if (sqlite3_exec(database, check.query, take, &note, nullptr) != SQLITE_OK) {
      found += fmt::format("{}: {}\n", check.what, sqlite3_errmsg(database));
    }
  }
  sqlite3_close(database);
  return found;
}

}  // namespace umbra::storage
