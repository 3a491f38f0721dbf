// How ids are written: in logs, replies and files, so the same for ever.
#include "base/ids.h"

#include <gtest/gtest.h>

namespace umbra {
namespace {

TEST(Ids, AreWrittenWithAllDigitsOfTheSpoolAndThoseOfTheNumberThatCount) {
  EXPECT_EQ(to_string(SpoolId{0x1f}), "000000000000001f");
  EXPECT_EQ(to_string(SpoolId{UINT64_MAX}), "ffffffffffffffff");
  EXPECT_EQ(to_string(MessageId{SpoolId{0x9f86d081884c7d65}, 0x10000000002}), "9f86d081884c7d65-10000000002");
  EXPECT_EQ(to_string(MessageId{SpoolId{1}, 0}), "0000000000000001-0");
  EXPECT_EQ(to_string(MessageId{SpoolId{UINT64_MAX}, UINT64_MAX}), "ffffffffffffffff-ffffffffffffffff");
}

}  // namespace
}  // namespace umbra
