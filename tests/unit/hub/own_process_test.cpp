// What the process says of itself. Method: descriptors that are opened here are counted, whichever way the
// kernel tells.
#include "hub/pressure/own_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <vector>

namespace umbra::hub {
namespace {

TEST(OwnProcess, CountsItsOpenDescriptors) {
  const auto before = open_descriptors();
  ASSERT_TRUE(before);
  std::vector<int> opened;
  for (int i = 0; i < 100; ++i) opened.push_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(open_descriptors(), *before + 100);
  for (int descriptor : opened) ::close(descriptor);
  EXPECT_EQ(open_descriptors(), before);
}

TEST(OwnProcess, KnowsItsResidentMemory) {
  EXPECT_GT(resident_octets().value_or(0), 1U << 20);
}

}  // namespace
}  // namespace umbra::hub
