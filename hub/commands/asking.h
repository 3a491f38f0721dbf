// What commands that ask a hub have in common: where it is, in which form the answer is shown, and which exit
// code follows.
#pragma once

#include <expected>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "hub/commands/exit_code.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace umbra::hub {

using Json = nlohmann::ordered_json;

inline constexpr const char* default_socket =
    "/run/umbra/admin.sock";  ///< but where UMBRA_SOCKET says another one

struct AdminOptions {
  std::string socket = default_socket;
  std::string output = "text";  ///< text, json
};
struct ListOptions : AdminOptions {
  std::size_t limit = 100;
  std::string after;
  std::string state;
};

/// --socket; the environment gives its default: an option that is bound to a variable of the environment
/// would overwrite what was given to another command that shares it.
void add_socket_option(CLI::App* command, std::string& socket);
/// --socket and --output, and of commands that ask no hub --output alone.
void add_admin_options(CLI::App* command, std::string& socket, std::string& output);
void add_admin_options(CLI::App* command, AdminOptions& options);
void add_output_option(CLI::App* command, std::string& output);
void add_list_options(CLI::App* command, ListOptions& options);
CLI::Option* add_message_id(CLI::App* command, std::string& id);

/// One request; the JSON of a good answer, or the exit code after the error was printed.
std::expected<Json, int> ask(const AdminOptions& options, const std::string& method,
                             const std::string& target, unsigned also_good = 200);
/// Asks page by page until `limit` rows of the list `name` are there.
std::expected<Json, int> ask_pages(const ListOptions& options, const std::string& path,
                                   const std::string& name);

using View = std::function<std::string(const Json&)>;
/// Prints the answer; the exit code.
int show(const AdminOptions& options, const std::expected<Json, int>& answer, const View& view);

}  // namespace umbra::hub
