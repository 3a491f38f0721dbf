#include "tests/unit/smtp/dialog.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <vector>

namespace umbra::smtp {
namespace {

std::vector<std::string> dialog_files() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator("tests/unit/smtp/dialogs"))
    if (entry.path().extension() == ".dialog") files.push_back(entry.path().string());
  std::ranges::sort(files);
  return files;
}

TEST(Dialogs, GoAsWrittenHoweverTheInputIsSplit) {
  const auto files = dialog_files();
  ASSERT_GE(files.size(), 10U);
  for (const auto& file : files)
    for (std::size_t octets : {100000UL, 1UL, 2UL, 3UL, 7UL})
      EXPECT_EQ(testing::run_dialog(file, octets), "") << "pieces of " << octets;
}

}  // namespace
}  // namespace umbra::smtp
