#include "smtp/reply.h"

#include <gtest/gtest.h>

namespace umbra::smtp {
namespace {

TEST(ReplyOnTheWire, RepeatsItsCodesOnEveryLine) {
  EXPECT_EQ(to_wire({250, "2.0.0", "ok"}), "250 2.0.0 ok\r\n");
  EXPECT_EQ(to_wire({220, "", "hub.example ESMTP"}), "220 hub.example ESMTP\r\n");
  EXPECT_EQ(to_wire({550, "5.7.1", "one\ntwo"}), "550-5.7.1 one\r\n550 5.7.1 two\r\n");
  EXPECT_EQ(to_wire({250, "", ""}), "250 \r\n");
}

TEST(ReplyOnTheWire, NeverHoldsALineEndThatItsTextBrought) {
  EXPECT_EQ(to_wire({550, "5.0.0", std::string("a\rb\0c", 5)}), "550 5.0.0 a b c\r\n");
  EXPECT_EQ(to_line({550, "5.1.1", "no\nsuch\r\nuser"}), "550 5.1.1 no such  user");
  EXPECT_EQ(to_line({354, "", "go on"}), "354 go on");
  EXPECT_EQ(to_line({250, "", ""}), "250");
}

}  // namespace
}  // namespace umbra::smtp
