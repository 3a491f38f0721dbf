// The command line as a whole: its tree, the completion scripts and manual pages made from it, and what the
// documents show of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "hub/commands/commands.h"
#include "hub/commands/completion.h"
#include "hub/commands/manual.h"

namespace umbra::hub {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

class CommandsTest : public testing::Test {
 protected:
  CommandsTest() { add_commands(app_, chosen_); }
  static std::string text_of(const std::string& file) {
    std::ifstream in(file);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }
  CLI::App app_;
  Chosen chosen_;
};

const CommandNode& node(const std::vector<CommandNode>& nodes, const std::string& path) {
  auto found = std::ranges::find(nodes, path, &CommandNode::path);
  EXPECT_NE(found, nodes.end()) << path;
  return *found;
}

TEST_F(CommandsTest, EveryCommandSaysWhatItDoesAndEveryOptionToo) {
  const auto nodes = command_tree(app_);
  EXPECT_GT(nodes.size(), 40U);
  for (const auto& one : nodes) {
    EXPECT_FALSE(one.help.empty()) << one.path;
    for (const auto& option : one.options)
      EXPECT_FALSE(option.help.empty()) << one.path << " " << option.name;
  }
}

TEST_F(CommandsTest, EveryCommandThatAsksAHubCanAnswerInJson) {
  for (const auto& one : command_tree(app_)) {
    const bool asks =
        std::ranges::any_of(one.options, [](const auto& option) { return option.name == "--socket"; });
    if (!asks) continue;
    auto output = std::ranges::find(one.options, "--output", &CommandNode::Option::name);
    ASSERT_NE(output, one.options.end()) << one.path;
    EXPECT_EQ(std::set<std::string>(output->choices.begin(), output->choices.end()),
              (std::set<std::string>{"json", "text"}))
        << one.path;
  }
}

TEST_F(CommandsTest, TheFormerNamesOfCommandsStay) {
  const auto nodes = command_tree(app_);
  EXPECT_EQ(node(nodes, "umbra check").options.size(), node(nodes, "umbra config check").options.size());
  EXPECT_EQ(node(nodes, "umbra reload").options.size(), node(nodes, "umbra config reload").options.size());
  EXPECT_TRUE(node(nodes, "umbra check").takes_file);
}

TEST_F(CommandsTest, CompletionKnowsTheWholeTree) {
  const auto bash = bash_completion(app_);
  const auto zsh = zsh_completion(app_);
  const auto fish = fish_completion(app_);
  for (const auto& one : command_tree(app_))
    for (const auto* script : {&bash, &zsh, &fish}) {
      EXPECT_THAT(*script, HasSubstr(one.path));
      for (const auto& option : one.options)
        EXPECT_THAT(*script, HasSubstr(option.name.substr(option.name.find_last_of('-', 1) + 1)));
    }
  EXPECT_THAT(bash, HasSubstr("\"umbra queue search --state\") COMPREPLY=($(compgen -W 'held queued'"));
}

TEST_F(CommandsTest, ThereIsAManualPageForEachCommandAndNoOther) {
  const auto names = manual_names(app_);
  EXPECT_THAT(names, Contains("umbra"));
  EXPECT_THAT(names, Contains("umbra-queue"));
  EXPECT_EQ(manual_page(app_, "umbra-nothing"), "");
  const auto page = manual_page(app_, "umbra-queue");
  EXPECT_THAT(page, HasSubstr(".SS umbra queue search"));
  EXPECT_THAT(page, HasSubstr("\\-\\-all\\-matching"));
  EXPECT_THAT(page, HasSubstr(".SH EXIT STATUS"));
}

TEST_F(CommandsTest, TheDocumentsShowTheManualPagesAndCommandsAsTheyAre) {
  std::set<std::string> written;
  for (const auto& entry : std::filesystem::directory_iterator("docs/man"))
    written.insert(entry.path().stem());
  const auto names = manual_names(app_);
  EXPECT_EQ(written, std::set<std::string>(names.begin(), names.end())) << "run `make docs`";
  for (const auto& name : names)
    EXPECT_EQ(text_of("docs/man/" + name + ".1"), manual_page(app_, name)) << name << ": run `make docs`";
  EXPECT_EQ(text_of("docs/commands.md"), commands_reference(app_)) << "run `make docs`";
}

}  // namespace
}  // namespace umbra::hub
