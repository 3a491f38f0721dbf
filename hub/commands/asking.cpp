#include "hub/commands/asking.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <set>

#include "base/ids.h"
#include "hub/admin/client.h"

namespace umbra::hub {
namespace {

CLI::Validator message_id() {
  return {[](const std::string& text) {
            return parse_message_id(text) ? std::string{} : "\"" + text + "\" is no message id";
          },
          "ID"};
}

}  // namespace

void add_output_option(CLI::App* command, std::string& output) {
  command->add_option("--output", output, "text or json")
      ->check(CLI::IsMember(std::set<std::string>{"text", "json"}))
      ->capture_default_str();
}

void add_socket_option(CLI::App* command, std::string& socket) {
  const char* other = std::getenv("UMBRA_SOCKET");
  socket = other != nullptr && *other != '\0' ? other : default_socket;
  command->add_option("--socket", socket, "Admin socket of the hub")->default_str(default_socket);
}

void add_admin_options(CLI::App* command, std::string& socket, std::string& output) {
  add_socket_option(command, socket);
  add_output_option(command, output);
}

void add_admin_options(CLI::App* command, AdminOptions& options) {
  add_admin_options(command, options.socket, options.output);
}

void add_list_options(CLI::App* command, ListOptions& options) {
  command->add_option("--limit", options.limit, "At most so many rows")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1'000'000}))
      ->capture_default_str();
  command->add_option("--after", options.after, "Continue behind this row (the last listing says which)");
}

CLI::Option* add_message_id(CLI::App* command, std::string& id) {
  return command->add_option("id", id, "Message id, as in the log")->required()->check(message_id());
}

std::expected<Json, int> ask(const AdminOptions& options, const std::string& method,
                             const std::string& target, unsigned also_good) {
  auto answer = ask_hub_json(options.socket, method, target, also_good);
  if (answer) return std::move(*answer);
  std::fprintf(stderr, "umbra: %s\n", answer.error().why.c_str());
  return std::unexpected(answer.error().status == 0     ? unreachable
                         : answer.error().status == 404 ? not_found
                                                        : problem);
}

int show(const AdminOptions& options, const std::expected<Json, int>& answer, const View& view) {
  if (!answer) return answer.error();
  std::cout << (options.output == "json" ? answer->dump(2, ' ', false, Json::error_handler_t::replace) + "\n"
                                         : view(*answer));
  std::cout.flush();
  return std::cout ? done : problem;
}

std::expected<Json, int> ask_pages(const ListOptions& options, const std::string& path,
                                   const std::string& name) {
  constexpr std::size_t page_rows = 500;
  Json all = {{name, Json::array()}, {"next", options.after.empty() ? Json(nullptr) : Json(options.after)}};
  while (all[name].size() < options.limit) {
    auto left = options.limit - all[name].size();
    auto target = path + "?limit=" + std::to_string(std::min(left, page_rows));
    if (!all["next"].is_null()) target += "&after=" + all["next"].get<std::string>();
    if (!options.state.empty()) target += "&state=" + options.state;
    auto page = ask(options, "GET", target);
    if (!page) return page;
    for (auto& row : (*page)[name]) all[name].push_back(std::move(row));
    all["next"] = (*page)["next"];
    if (all["next"].is_null()) break;
  }
  return all;
}

}  // namespace umbra::hub
