// Messages that were being delivered when the process ended: marked in memory that outlives it, counted once
// per end.
#include "storage/attempt_marks.h"
#include "tests/unit/storage/spool_fixture.h"

namespace umbra::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

MessageId id(std::uint64_t number) {
  return {SpoolId{7}, number};
}

class SuspectsTest : public SpoolTest {
 protected:
  NewMessage stored() {
    auto message = new_message(spool(), {"a@example.com"});
    must([&](Writer& writer) { return accept(writer, message); });
    return message;
  }
  void start_after(Interrupted interrupted) {
    box.crash();
    box.options.interrupted = std::move(interrupted);
    open();
  }
  std::vector<std::pair<MessageId, std::uint32_t>> suspects() {
    std::vector<std::pair<MessageId, std::uint32_t>> found;
    for (const auto& suspect : ask([](Reader& reader) { return reader.suspects(100); }))
      found.emplace_back(suspect.id, suspect.crashes);
    return found;
  }
};

TEST_F(SuspectsTest, AreCountedOncePerEndOfTheProcess) {
  auto message = stored();
  auto spool_id = spool().id();
  start_after({spool_id, Epoch{1}, {message.id}});
  EXPECT_THAT(suspects(), ElementsAre(std::pair{message.id, 1U}));
  start_after({spool_id,
               Epoch{1},
               {message.id}});  // the start before this one was cut before it could clear the marks
  EXPECT_THAT(suspects(), ElementsAre(std::pair{message.id, 1U}));
  start_after({spool_id, Epoch{3}, {message.id}});
  EXPECT_THAT(suspects(), ElementsAre(std::pair{message.id, 2U}));
}

TEST_F(SuspectsTest, AreForgottenWithTheirMessageAndOfAnotherSpoolNeverKnown) {
  auto message = stored();
  auto gone = stored();
  auto spool_id = spool().id();
  start_after({spool_id, Epoch{1}, {message.id, gone.id, id(99)}});
  EXPECT_THAT(suspects(), UnorderedElementsAre(std::pair{message.id, 1U}, std::pair{gone.id, 1U}))
      << "of what is not here nothing is remembered";
  must([&](Writer& writer) { return writer.forget_message(gone.row); });
  must([&](Writer& writer) { return writer.forget_suspect(message.id); });
  start_after({SpoolId{123}, Epoch{2}, {message.id}});
  EXPECT_THAT(suspects(), IsEmpty());
}

TEST_F(SuspectsTest, AnOwnerIsBelievedAboutWhatIsHeldForIt) {
  auto own = stored();
  Shadow shadow{.row = spool().next_row(),
                .id = id(5),
                .generation = Generation{1},
                .owner_hub = "other",
                .owner_spool = SpoolId{7},
                .owner_epoch = Epoch{1},
                .envelope = envelope_for({"a@example.com"}),
                .size = 5,
                .offered = {},
                .done = {}};
  must([&](Writer& writer) -> Result<void> {
    auto inserted = writer.insert_shadow(shadow);
    if (!inserted) return std::unexpected(inserted.error());
    return writer.put_chunk(shadow.row, 0, "body\n");
  });
  auto told = [&](MessageId message, std::uint32_t crashes, SpoolId owner) {
    bool counts = false;
    must([&](Writer& writer) -> Result<void> {
      auto noted = writer.suspect(message, crashes, owner);
      if (!noted) return std::unexpected(noted.error());
      counts = *noted;
      return {};
    });
    return counts;
  };
  EXPECT_TRUE(told(shadow.id, 2, SpoolId{7}));
  EXPECT_TRUE(told(shadow.id, 1, SpoolId{7}));
  EXPECT_FALSE(told(shadow.id, 9, SpoolId{8})) << "not its message";
  EXPECT_FALSE(told(own.id, 9, SpoolId{7})) << "ours";
  EXPECT_FALSE(told(id(99), 9, SpoolId{7})) << "nobody's";
  EXPECT_THAT(suspects(), ElementsAre(std::pair{shadow.id, 2U}));
  start_after({spool().id(), Epoch{1}, {shadow.id}});
  EXPECT_THAT(suspects(), ElementsAre(std::pair{shadow.id, 3U}));
}

TEST(AttemptMarks, TellWhatWasUnderWay) {
  auto region = std::make_unique<AttemptMarks::Region>();
  EXPECT_FALSE(AttemptMarks::read(*region));
  {
    AttemptMarks marks(*region, SpoolId{5}, Epoch{4});
    marks.begin(id(1));
    marks.begin(id(2));
    marks.begin(id(2));  // to a second destination
    marks.begin(id(3));
    marks.end(id(1));
    marks.end(id(2));
    marks.end(id(9));  // never begun
  }
  auto found = AttemptMarks::read(*region);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->spool, SpoolId{5});
  EXPECT_EQ(found->epoch, Epoch{4});
  EXPECT_THAT(found->attempts, UnorderedElementsAre(id(2), id(3)));
  AttemptMarks next(*region, SpoolId{5}, Epoch{5});
  EXPECT_THAT(AttemptMarks::read(*region)->attempts, IsEmpty());
}

TEST(AttemptMarks, GoWithoutAMarkWhenThereAreTooMany) {
  auto region = std::make_unique<AttemptMarks::Region>();
  AttemptMarks marks(*region, SpoolId{5}, Epoch{4});
  for (std::uint64_t i = 1; i <= AttemptMarks::slots + 10; ++i) marks.begin(id(i));
  EXPECT_EQ(AttemptMarks::read(*region)->attempts.size(), AttemptMarks::slots);
  for (std::uint64_t i = 1; i <= AttemptMarks::slots + 10; ++i) marks.end(id(i));
  EXPECT_THAT(AttemptMarks::read(*region)->attempts, IsEmpty());
  marks.begin(id(77));
  EXPECT_THAT(AttemptMarks::read(*region)->attempts, ElementsAre(id(77)));
}

}  // namespace
}  // namespace umbra::storage
