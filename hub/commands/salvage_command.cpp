#include "hub/commands/salvage_command.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <map>
#include <ostream>

#include <fmt/format.h>

#include "hub/admin/report.h"
#include "hub/commands/asking.h"
#include "hub/commands/commands.h"
#include "hub/logs/log_line.h"
#include "storage/salvage.h"
#include "storage/set_aside.h"
#include "storage/spool_error.h"

namespace umbra::hub {
namespace {

struct SpoolCommand {
  std::string directory;
  std::string output = "text";
  std::string to;
  std::string reason = "by the operator";
  bool only_here = false;
  bool safety_net = false;
};

using storage::Salvage;
using storage::SalvagedCopy;
using Kind = SalvagedCopy::Kind;
using OutcomeState = storage::RecipientOutcome::State;

constexpr std::size_t findings_max = 200;

std::string_view name_of(Kind kind) {
  return kind == Kind::message ? "message" : kind == Kind::shadow ? "shadow" : "kept";
}

std::string_view name_of(OutcomeState state) {
  switch (state) {
    case OutcomeState::pending:
      return "pending";
    case OutcomeState::delivered:
      return "delivered";
    case OutcomeState::failed:
      return "failed";
    case OutcomeState::expanded_elsewhere:
      return "expanded_elsewhere";
  }
  return "unknown";
}

std::unique_ptr<Salvage> open_salvage(const std::string& directory, std::ostream& errors) {
  auto salvage = Salvage::open(directory, "");
  if (salvage) return std::move(*salvage);
  errors << "umbra: " << directory << ": " << salvage.error().what << "\n";
  return nullptr;
}

/// Everything that whoever sends it on by hand has to know.
Json envelope_report(const SalvagedCopy& copy, const storage::SalvagedBody& body) {
  const auto& m = copy.message;
  const auto& envelope = m.envelope;
  Json json = {{"id", to_string(m.id)},
               {"kind", name_of(copy.kind)},
               {"generation", m.generation.value},
               {"row", m.row.value},
               {"sender", envelope.sender},
               {"accepted_at", to_text(envelope.accepted_at)},
               {"expires_at", to_text(envelope.expires_at)},
               {"client_address", envelope.client_address},
               {"client_helo", envelope.client_helo},
               {"eight_bit", envelope.body_8bit},
               {"smtputf8", envelope.smtputf8},
               {"size", m.size}};
  if (!envelope.envelope_id.empty()) json["envelope_id"] = envelope.envelope_id;
  if (envelope.dsn_return != DsnReturn::unset)
    json["ret"] = envelope.dsn_return == DsnReturn::full ? "FULL" : "HDRS";
  if (copy.kind == Kind::kept) {
    json["delivered"] = true;
    if (!copy.owner_hub.empty())
      json["owner"] = {{"hub", copy.owner_hub}, {"spool", to_string(copy.owner_spool)}};
  } else if (copy.kind == Kind::shadow) {
    json["owner"] = {{"hub", copy.owner_hub}, {"spool", to_string(copy.owner_spool)}};
  } else {
    json["state"] = to_string(m.state);
    json["held_elsewhere"] = copy.is_held_elsewhere;
    json["last_error"] = m.last_error;
    json["due"] = Json::array();
    for (const auto& entry : m.queue)
      json["due"].push_back(
          {{"destination", entry.destination}, {"at", to_text(entry.due)}, {"attempts", entry.attempts}});
  }
  json["hubs"] = Json::array();
  for (const auto& holder : m.holders)
    json["hubs"].push_back({{"hub", holder.hub},
                            {"spool", to_string(holder.spool)},
                            {"holds", holder.state == storage::Holder::State::holds}});
  json["recipients"] = Json::array();
  for (std::size_t i = 0; i < envelope.recipients.size(); ++i) {
    const auto& recipient = envelope.recipients[i];
    Json one = {{"address", recipient.address}, {"state", "pending"}};
    if (!recipient.original_recipient.empty()) one["orcpt"] = recipient.original_recipient;
    if (recipient.notify != notify_unset) one["notify"] = recipient.notify;
    json["recipients"].push_back(std::move(one));
  }
  for (const auto& outcome : m.progress) {
    auto& one = json["recipients"][outcome.index];
    one["state"] = name_of(outcome.state);
    if (!outcome.detail.empty()) one["detail"] = outcome.detail;
  }
  json["body"] = {{"whole", body.problem.empty()}, {"octets", body.octets}};
  if (!body.problem.empty()) json["body"]["problem"] = body.problem;
  if (!copy.problems.empty()) json["not_readable"] = copy.problems;
  return json;
}

/// What is wrong, at most so much of it in words, all of it in numbers.
struct Findings {
  std::size_t count = 0;
  Json list = Json::array();
  void add(std::string what) {
    if (++count <= findings_max) list.push_back(std::move(what));
  }
};

struct Totals {
  std::size_t messages = 0;
  std::size_t shadows = 0;
  std::size_t kept = 0;
  std::size_t unprotected = 0;
  std::size_t held = 0;
};

/// Rows that were not there when they were looked at, as whatever it is that names them: a hub at work has
/// ended some of them meanwhile, and nothing speaks of those any more. What is left is damage.
std::vector<RowId> still_named(Salvage& salvage, Kind kind, std::vector<RowId> not_there) {
  if (not_there.empty()) return not_there;
  auto named = salvage.rows(kind);
  std::erase_if(not_there, [&](RowId row) { return !std::ranges::binary_search(named, row); });
  return not_there;
}

/// A hub at work has ended it meanwhile.
bool has_ended(Salvage& salvage, Kind kind, RowId row) {
  auto again = salvage.load(kind, row);
  return again && !*again;
}

void check_rows(Salvage& salvage, Kind kind, const std::vector<RowId>& rows, Totals& totals,
                Findings& findings) {
  std::vector<RowId> not_there;
  for (auto row : rows) {
    auto copy = salvage.load(kind, row);
    if (!copy) {
      findings.add(fmt::format("{} {:x}: {}", name_of(kind), row.value, copy.error().what));
      continue;
    }
    if (!*copy) {
      not_there.push_back(row);
      continue;
    }
    const auto& message = (*copy)->message;
    ++(kind == Kind::message ? totals.messages : kind == Kind::shadow ? totals.shadows : totals.kept);
    if (kind == Kind::message && !message.is_protected) ++totals.unprotected;
    bool is_held = message.state == storage::MessageState::held ||
                   message.state == storage::MessageState::handing_over_held;
    if (kind == Kind::message && is_held) ++totals.held;
    for (const auto& what : (*copy)->problems)
      findings.add(fmt::format("{} {}: {}", name_of(kind), to_string(message.id), what));
    auto body = salvage.body(row, message.size, [](std::string_view) { return Result<void>(); });
    if (body && !body->problem.empty() && !has_ended(salvage, kind, row))
      findings.add(fmt::format("{} {}: its body: {}", name_of(kind), to_string(message.id), body->problem));
  }
  for (auto row : still_named(salvage, kind, std::move(not_there)))
    findings.add(fmt::format("{} {:x}: an index or the queue names it, and it is not there", name_of(kind),
                             row.value));
}

// ---- export

class Exporter {
 public:
  Exporter(const SpoolExportOptions& options, Salvage& salvage) : options_(options), salvage_(salvage) {}

  Result<void> run() {
    auto messages = salvage_.rows(Kind::message);
    auto shadows = salvage_.rows(Kind::shadow);
    auto kept = salvage_.rows(Kind::kept);
    // What was delivered goes nowhere unless somebody asks for it: whoever sends on what was exported would
    // send it twice.
    if (options_.safety_net)
      for (auto row : kept)
        if (auto written = write(Kind::kept, row); !written) return written;
    for (auto kind : {Kind::message, Kind::shadow})
      for (auto row : kind == Kind::message ? messages : shadows)
        if (auto written = write(kind, row); !written) return written;
    for (auto row : salvage_.orphan_bodies(messages, shadows, kept))
      if (auto written = write_orphan(row); !written) return written;
    for (auto& [kind, rows] : not_there_)
      for (auto row : still_named(salvage_, kind, std::move(rows)))
        unreadable.add(fmt::format("{} in row {:x}: only its key is left", name_of(kind), row.value));
    return sync();
  }

  std::size_t whole = 0;
  std::size_t damaged = 0;
  std::size_t orphans = 0;
  std::size_t left_out = 0;
  Findings unreadable;

 private:
  Result<void> write(Kind kind, RowId row) {
    auto copy = salvage_.load(kind, row);
    if (!copy) {
      unreadable.add(fmt::format("{} in row {:x}: {}", name_of(kind), row.value, copy.error().what));
      return {};
    }
    if (!*copy) {
      not_there_[kind].push_back(row);
      return {};
    }
    if (options_.only_here && (kind != Kind::message || (*copy)->is_held_elsewhere)) {
      ++left_out;
      return {};
    }
    const auto& message = (*copy)->message;
    auto name = to_string(message.id) + (kind == Kind::kept ? ".delivered" : "");
    auto body = write_body(row, message.size, name);
    if (!body) return std::unexpected(body.error());
    if (!body->problem.empty() && has_ended(salvage_, kind, row)) {
      if (std::remove(file_of(name, *body).c_str()) != 0) return failed(file_of(name, *body));
      return {};
    }
    ++(body->problem.empty() ? whole : damaged);
    return write_text(
        options_.to + "/" + name + ".json",
        envelope_report(**copy, *body).dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  }

  [[nodiscard]] std::string file_of(const std::string& name, const storage::SalvagedBody& body) const {
    return options_.to + "/" + name + (body.problem.empty() ? ".eml" : ".damaged.eml");
  }

  /// <name>.eml, or <name>.damaged.eml when something of it is missing.
  Result<storage::SalvagedBody> write_body(RowId row, std::uint64_t size, const std::string& name) {
    auto part = options_.to + "/" + name + ".part";
    std::ofstream out(part, std::ios::binary | std::ios::trunc);
    auto body = salvage_.body(row, size, [&out, &part](std::string_view octets) -> Result<void> {
      if (!out.write(octets.data(), static_cast<std::streamsize>(octets.size()))) return failed(part);
      return {};
    });
    if (!body) return body;
    out.close();
    if (!out) return failed(part);
    auto file = file_of(name, *body);
    if (std::rename(part.c_str(), file.c_str()) != 0) return failed(file);
    return body;
  }

  /// Its envelope is lost; its header may tell an operator where it belongs.
  Result<void> write_orphan(RowId row) {
    if (options_.only_here) return {};
    auto body = write_body(row, UINT64_MAX, fmt::format("without-envelope-{:x}", row.value));
    if (!body) return std::unexpected(body.error());
    ++orphans;
    return {};
  }

  /// The spool may be thrown away as soon as this command has ended.
  [[nodiscard]] Result<void> sync() const {
    auto folder = ::open(options_.to.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || ::syncfs(folder) != 0) {
      auto failure = failed(options_.to);
      if (folder >= 0) ::close(folder);
      return failure;
    }
    ::close(folder);
    return {};
  }

  static std::unexpected<Error> failed(const std::string& file) {
    auto code = std::error_code(errno, std::generic_category());
    return failure(code, "write " + file + ": " + code.message());
  }

  static Result<void> write_text(const std::string& file, const std::string& text) {
    std::ofstream out(file, std::ios::binary | std::ios::trunc);
    out << text;
    out.close();
    if (!out) return failed(file);
    return {};
  }

  const SpoolExportOptions& options_;
  Salvage& salvage_;
  std::map<Kind, std::vector<RowId>> not_there_;
};

}  // namespace

int check_spool(const SpoolCheckOptions& options, std::ostream& out, std::ostream& errors) {
  auto salvage = open_salvage(options.directory, errors);
  if (!salvage) return problem;
  Findings findings;
  Totals totals;
  if (auto mark = storage::DamageMark("", options.directory).read(); mark && *mark)
    findings.add("a hub found it damaged: " + (*mark)->reason);
  for (auto& line : salvage->structure(findings_max)) findings.add("structure: " + line);
  auto messages = salvage->rows(Kind::message);
  auto shadows = salvage->rows(Kind::shadow);
  check_rows(*salvage, Kind::message, messages, totals, findings);
  check_rows(*salvage, Kind::shadow, shadows, totals, findings);
  auto kept = salvage->rows(Kind::kept);
  check_rows(*salvage, Kind::kept, kept, totals, findings);
  auto orphans = salvage->orphan_bodies(messages, shadows, kept);
  for (auto row : orphans) findings.add(fmt::format("body {:x} belongs to nothing", row.value));
  // A hub at work changes them between one look and the next.
  auto counts = salvage->counts();
  bool counts_agree = counts && counts->messages == totals.messages && counts->shadows == totals.shadows &&
                      counts->unprotected == totals.unprotected && counts->held == totals.held;
  Json json = {{"spool", to_string(salvage->id())}, {"whole", findings.count == 0},
               {"messages", totals.messages},       {"held", totals.held},
               {"unprotected", totals.unprotected}, {"shadows", totals.shadows},
               {"safety_net", totals.kept},         {"counts_agree", counts_agree},
               {"findings", findings.count},        {"first_findings", findings.list}};
  if (options.json) {
    out << json.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
  } else {
    for (const auto& finding : findings.list) out << finding.get<std::string>() << "\n";
    if (findings.count > findings_max) out << "and " << findings.count - findings_max << " more\n";
    out << options.directory << ": spool " << to_string(salvage->id()) << ", " << totals.messages
        << " messages (" << totals.held << " held, " << totals.unprotected << " unprotected), "
        << totals.shadows << " shadows, " << totals.kept << " in the safety net: "
        << (findings.count == 0 ? "whole" : fmt::format("{} findings", findings.count)) << "\n";
    if (!counts_agree)
      out << "Its own counts say something else: a hub is at work on it, or it is damaged.\n";
  }
  return findings.count == 0 ? done : found_damage;
}

int export_spool(const SpoolExportOptions& options, std::ostream& out, std::ostream& errors) {
  auto salvage = open_salvage(options.directory, errors);
  if (!salvage) return problem;
  if (::mkdir(options.to.c_str(), 0700) != 0 && errno != EEXIST) {
    errors << "umbra: make " << options.to << ": "
           << std::error_code(errno, std::generic_category()).message() << "\n";
    return problem;
  }
  Exporter exporter(options, *salvage);
  auto result = exporter.run();
  for (const auto& what : exporter.unreadable.list)
    errors << "not readable: " << what.get<std::string>() << "\n";
  if (exporter.unreadable.count > findings_max)
    errors << "and " << exporter.unreadable.count - findings_max << " more\n";
  out << options.to << ": " << exporter.whole << " whole, " << exporter.damaged << " with a damaged body, "
      << exporter.orphans << " without an envelope, " << exporter.unreadable.count << " not readable";
  if (options.only_here) out << ", " << exporter.left_out << " left out: held by other hubs or for them";
  out << "\n";
  if (!result) {
    errors << "umbra: " << result.error().what << "\n";
    return problem;
  }
  return exporter.damaged + exporter.orphans + exporter.unreadable.count == 0 ? done : found_damage;
}

int set_spool_aside(const std::string& directory, const std::string& reason, std::ostream& out,
                    std::ostream& errors) {
  constexpr std::uint32_t no_limit = 1'000'000;  // the operator's word
  auto folder = storage::set_aside(directory, "", reason, no_limit);
  if (!folder) {
    errors << "umbra: " << folder.error().what << "\n";
    return problem;
  }
  out << "moved to " << *folder
      << "\nThe hub starts with a new spool; the other hubs deliver what they hold for it. What only this "
      << "one had: umbra spool export " << *folder << " --to DIR --only-here\n";
  return done;
}

void add_spool_commands(CLI::App& app, Chosen& chosen) {
  auto options = std::make_shared<SpoolCommand>();
  auto* spool =
      app.add_subcommand("spool", "Look at, salvage and move away the files of a spool, without a hub");
  spool->require_subcommand(1);
  auto* check_command =
      spool->add_subcommand("check", "Read all of a spool: is it whole? Exit code 5: it is damaged");
  check_command->add_option("directory", options->directory, "The spool, or one that was set aside")
      ->required();
  add_output_option(check_command, options->output);
  check_command->callback([&chosen, options] {
    chosen = [options] {
      return check_spool({options->directory, options->output == "json"}, std::cout, std::cerr);
    };
  });
  auto* export_command = spool->add_subcommand("export",
                                               "Write what is readable of a spool as RFC 5322 files and "
                                               "envelopes (JSON). Exit code 5: not all of it was");
  export_command->add_option("directory", options->directory, "The spool, or one that was set aside")
      ->required();
  export_command->add_option("--to", options->to, "Folder for the files")->required();
  export_command->add_flag("--only-here", options->only_here,
                           "Only messages of which no other hub said that it holds a copy");
  export_command->add_flag("--safety-net", options->safety_net,
                           "Also what was delivered and is kept: NAME.delivered.eml");
  export_command->callback([&chosen, options] {
    chosen = [options] {
      return export_spool({options->directory, options->to, options->only_here, options->safety_net},
                          std::cout, std::cerr);
    };
  });
  auto* aside_command = spool->add_subcommand(
      "set-aside", "Move a spool's files into a folder beside it; the hub starts empty");
  aside_command->add_option("directory", options->directory, "The spool of a hub that is not running")
      ->required();
  aside_command->add_option("--reason", options->reason, "Kept with it")->capture_default_str();
  aside_command->callback([&chosen, options] {
    chosen = [options] { return set_spool_aside(options->directory, options->reason, std::cout, std::cerr); };
  });
}

}  // namespace umbra::hub
