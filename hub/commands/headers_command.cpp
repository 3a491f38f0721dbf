#include "hub/commands/headers_command.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/iso_time.h"
#include "hub/admin/text_view.h"
#include "hub/commands/asking.h"
#include "hub/commands/commands.h"
#include "hub/logs/log_line.h"
#include "smtp/hops.h"

namespace umbra::hub {
namespace {

using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;

/// A hop with what follows from it and the one before.
struct Row {
  const smtp::HopRead* read = nullptr;
  std::optional<WallTime> time;          ///< when it was taken
  std::optional<milliseconds> delay;     ///< since the hop before; of Received fields to the second
  std::optional<milliseconds> in_queue;  ///< of a hub: from received to sent
};

std::optional<milliseconds> between(const std::optional<WallTime>& from, const std::optional<WallTime>& to) {
  if (!from || !to) return std::nullopt;
  return std::chrono::duration_cast<milliseconds>(*to - *from);
}

/// Oldest first.
std::vector<Row> rows_of(const smtp::HopsRead& read) {
  std::vector<Row> rows;
  std::optional<WallTime> before;
  for (auto hop = read.hops.rbegin(); hop != read.hops.rend(); ++hop) {
    Row row;
    row.read = &*hop;
    if (hop->received) row.time = hop->received->time;
    if (!row.time && hop->hop) row.time = hop->hop->received;
    row.delay = between(before, row.time);
    if (hop->hop) row.in_queue = between(hop->hop->received, hop->hop->sent);
    if (row.time) before = row.time;
    rows.push_back(row);
  }
  return rows;
}

Json or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}
Json or_null(const std::optional<milliseconds>& span) {
  return span ? Json(static_cast<double>(span->count()) / 1000) : Json(nullptr);
}
Json or_null(const std::optional<WallTime>& time) {
  return time ? Json(iso_time(*time)) : Json(nullptr);
}

Json owners_json(const smtp::Hop& hop) {
  Json list = Json::array();
  for (const auto& owner : hop.owners)
    list.push_back({{"generation", owner.generation.value},
                    {"how", to_string(owner.how)},
                    {"hub", owner.hub},
                    {"since", owner.since == WallTime{} ? Json(nullptr) : Json(iso_time(owner.since))}});
  return list;
}

Json hub_json(const Row& row) {
  if (!row.read->hop) return nullptr;
  const auto& hop = *row.read->hop;
  return {{"hub", or_null(hop.hub)},
          {"host", or_null(hop.host)},
          {"id", hop.id ? Json(to_string(*hop.id)) : Json(nullptr)},
          {"received", or_null(hop.received)},
          {"sent", or_null(hop.sent)},
          {"queue_seconds", or_null(row.in_queue)},
          {"redundancy",
           hop.way == smtp::RedundancyWay::unknown ? Json(nullptr) : Json(smtp::to_string(hop.way))},
          {"copies", hop.copies},
          {"copied_seconds", or_null(hop.copied)},
          {"acknowledged_seconds", or_null(hop.acknowledged)},
          {"filtered_seconds", or_null(hop.filtered)},
          {"attempt", hop.attempt == 0 ? Json(nullptr) : Json(hop.attempt)},
          {"owners", owners_json(hop)}};
}

Json report(const std::vector<Row>& rows, bool is_cut) {
  Json hops = Json::array();
  for (const auto& row : rows) {
    const auto received = row.read->received.value_or(smtp::Received{});
    hops.push_back({{"line", row.read->line},
                    {"from", or_null(received.from)},
                    {"from_address", or_null(received.from_address)},
                    {"by", or_null(received.by)},
                    {"with", or_null(received.with)},
                    {"id", or_null(received.id)},
                    {"for", or_null(received.recipient)},
                    {"time", or_null(row.time)},
                    {"date", or_null(received.date)},
                    {"delay_seconds", or_null(row.delay)},
                    {"clocks_differ", row.delay && row.delay->count() < 0},
                    {"believed", row.read->doubt.empty()},
                    {"doubt", or_null(row.read->doubt)},
                    {"umbra", hub_json(row)}});
  }
  return {{"hops", std::move(hops)}, {"is_cut", is_cut}};
}

std::string span_text(milliseconds span) {
  const auto count = span.count();
  if (count > -1000 && count < 1000) return fmt::format("{} ms", count);
  if (count > -120'000 && count < 120'000) return fmt::format("{:.1f} s", static_cast<double>(count) / 1000);
  if (count > -7'200'000 && count < 7'200'000)
    return fmt::format("{:.0f} min", static_cast<double>(count) / 60'000);
  return fmt::format("{:.1f} h", static_cast<double>(count) / 3'600'000);
}

/// Of an hour of two systems, as people compare them.
std::string moment(const WallTime& time) {
  auto text = iso_time(time).substr(0, 19);
  text[10] = ' ';
  return text;
}

std::string way_text(const smtp::Hop& hop) {
  std::string copies;
  for (const auto& hub : hop.copies) copies += (copies.empty() ? "" : ", ") + hub;
  switch (hop.way) {
    case smtp::RedundancyWay::copy:
      return "waited for a copy on " + (copies.empty() ? std::string("another hub") : copies) +
             (hop.copied ? " (" + span_text(*hop.copied) + ")" : "");
    case smtp::RedundancyWay::delayed:
      return "no hub could take a copy: the acknowledgement waited for the delivery";
    case smtp::RedundancyWay::none:
      return "waited for no copy";
    case smtp::RedundancyWay::unknown:
      break;
  }
  return "which way to redundancy it waited for is not known any more (a restart, or another hub took it)";
}

std::vector<std::string> hub_lines(const Row& row) {
  std::vector<std::string> lines;
  if (!row.read->hop) return lines;
  const auto& hop = *row.read->hop;
  lines.push_back(way_text(hop) +
                  (hop.acknowledged ? "; acknowledged after " + span_text(*hop.acknowledged) : ""));
  std::string queue;
  if (hop.filtered) queue += "waited " + span_text(*hop.filtered) + " for its content filters; ";
  if (row.in_queue)
    queue += row.in_queue->count() < 0
                 ? "sent " + span_text(-*row.in_queue) + " before it was received: its clocks differ"
                 : "sent " + span_text(*row.in_queue) + " after it was received";
  if (hop.attempt != 0) queue += (queue.empty() ? "" : ", ") + fmt::format("attempt {}", hop.attempt);
  if (!queue.empty()) lines.push_back(std::move(queue));
  for (const auto& owner : hop.owners)
    lines.push_back(fmt::format("owner {}: {}, {}{}", owner.generation.value, owner.hub, to_string(owner.how),
                                owner.since == WallTime{} ? std::string() : " " + iso_time(owner.since)));
  return lines;
}

std::string text_view(const std::vector<Row>& rows, bool is_cut) {
  std::vector<std::vector<std::string>> cells = {{"HOP", "FROM", "BY", "WITH", "WHEN (UTC)", "DELAY"}};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto& row = rows[i];
    const auto received = row.read->received.value_or(smtp::Received{});
    std::string from = received.from;
    if (!received.from_address.empty() && received.from.find(received.from_address) == std::string::npos)
      from += (from.empty() ? "[" : " [") + received.from_address + "]";
    auto or_dash = [](std::string text) {
      return text.empty() ? std::string("-") : without_controls(std::move(text));
    };
    std::string when = row.time                ? moment(*row.time)
                       : received.date.empty() ? "no date"
                                               : "not readable: " + received.date;
    std::string delay = !row.delay ? std::string(i == 0 ? "" : "not known") : span_text(*row.delay);
    if (row.delay && row.delay->count() < 0) delay += " (their clocks differ)";
    std::string by = received.by;
    if (by.empty() && row.read->hop) by = row.read->hop->host;
    cells.push_back(
        {std::to_string(i + 1), or_dash(from), or_dash(by), or_dash(received.with), or_dash(when), delay});
  }
  std::vector<std::size_t> widths(cells[0].size());
  for (const auto& line : cells)
    for (std::size_t i = 0; i < line.size(); ++i)
      widths[i] = std::max(widths[i], std::min<std::size_t>(line[i].size(), 60));
  std::string out;
  for (std::size_t n = 0; n < cells.size(); ++n) {
    std::string line;
    for (std::size_t i = 0; i < cells[n].size(); ++i) line += fmt::format("{:<{}}  ", cells[n][i], widths[i]);
    while (line.ends_with(' ')) line.pop_back();
    out += line + '\n';
    if (n == 0) continue;
    const auto& row = rows[n - 1];
    const std::string name = row.read->hop && !row.read->hop->hub.empty() ? row.read->hop->hub : "hub";
    for (const auto& said : hub_lines(row)) out += "     " + name + ": " + without_controls(said) + '\n';
    if (!row.read->doubt.empty()) out += "     not believed: " + without_controls(row.read->doubt) + '\n';
  }
  if (is_cut) out += "The header is longer than what was read; there may be more.\n";
  return out;
}

}  // namespace

int show_headers(const std::string& message, const HeadersCommand& command, std::ostream& out,
                 std::ostream& errors) {
  const auto read = smtp::read_hops(message, command.own);
  const auto rows = rows_of(read);
  out << (command.output == "json"
              ? report(rows, read.is_cut).dump(2, ' ', false, Json::error_handler_t::replace) + "\n"
              : text_view(rows, read.is_cut));
  out.flush();
  if (!rows.empty()) return out ? done : problem;
  errors << "umbra: there is no Received or Umbra-Hop field in it\n";
  return problem;
}

int run_headers(const HeadersCommand& command, std::ostream& out, std::ostream& errors) {
  std::ifstream file;
  if (command.file != "-") {
    file.open(command.file, std::ios::binary);
    if (!file) {
      errors << "umbra: " << command.file << " cannot be read\n";
      return problem;
    }
  }
  std::istream& in = command.file == "-" ? std::cin : file;
  std::string message(smtp::header_octets_read_max + 1, '\0');
  in.read(message.data(), static_cast<std::streamsize>(message.size()));
  message.resize(static_cast<std::size_t>(in.gcount()));
  if (in.bad() || (message.empty() && !in.eof())) {
    errors << "umbra: " << command.file << " cannot be read\n";
    return problem;
  }
  return show_headers(message, command, out, errors);
}

void add_headers_command(CLI::App& app, Chosen& chosen) {
  auto headers = std::make_shared<HeadersCommand>();
  auto* read = app.add_subcommand(
      "headers",
      "Read the header of a delivered message: its way, the delay of each hop, and what hubs waited for");
  read->add_option("file", headers->file, "The message (RFC 5322); -: standard input")->required();
  read->add_option("--own", headers->own,
                   "A host whose fields are believed too, below those of the first hub; may be said again")
      ->type_name("HOST");
  add_output_option(read, headers->output);
  read->callback(
      [headers, &chosen] { chosen = [headers] { return run_headers(*headers, std::cout, std::cerr); }; });
}

}  // namespace umbra::hub
