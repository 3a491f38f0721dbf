/* Hand-over of one message with the giver's consent: in a drain, and in hop retention (the next hop is a hub of the cluster). Giver 0,
 * receiver 1, and hub 2, which takes the receiver's own copy. Run by tests/model/run; docs/model.md says what is left out.
 *
 * The giver turns its message into a shadow held for the receiver under the next generation before it offers; the receiver commits and
 * protects before it says yes; without an answer the giver asks; "unknown" means: own it again under one generation more, never: drop it.
 * Whoever says "unknown" refuses from then on, for as long as its sessions live, an offer that comes late.
 *
 * HELD: the receiver begins with the copy made before the 250, and offers have no body (XHAND HELD). It may lose the copy at any time (told
 * "superseded", released); an offer of what it does not hold is answered 504, and then the giver offers the body.
 */
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef LOSSES
#define LOSSES 0
#endif
#ifndef COPIES
#define COPIES 1 /* offers that come twice */
#endif
#define NONE 0
#define OWN 1
#define SHADOW 2
#define MOST 4 /* generations */

byte row[3], gen[3]; /* durable */
bit done[3];         /* durable */
bit up[3];
byte refuses;        /* receiver, in memory: generations up to this */
byte offers[MOST + 1];
byte accepted[MOST + 1];
byte given;          /* wrong variant: what was offered before it was committed */
bit copied, gone;    /* the receiver's copy; the receiver's disk was lost */
#ifdef HELD
byte held_offers[MOST + 1];
bit not_held[MOST + 1]; /* 504, on its way */
bit bodiless;           /* the receiver owns a message whose body it does not have */
bit released;
#define OFFER(g) held_offers[g] = 1
#define NOTHING_COMES offers[2] = 0; offers[4] = 0; held_offers[2] = 0; held_offers[4] = 0; not_held[2] = 0; not_held[4] = 0
#else
#define OFFER(g) offers[g] = 1
#define NOTHING_COMES offers[2] = 0; offers[4] = 0
#endif
byte delivered;
bit all_done;
byte crashes = CRASHES, losses = LOSSES, twice = COPIES;

inline deliver(h) {
  assert(delivered == 0);
  delivered++;
  row[h] = NONE;
  done[h] = 1
}

#ifdef V_ACCEPTED_TWICE
#define IS_KNOWN(g) (row[1] == OWN)
#else
#define IS_KNOWN(g) (done[1] || (row[1] != NONE && gen[1] >= (g)))
#endif
#ifdef V_UNKNOWN_WITHOUT_REFUSING
#define REFUSE skip
#else
#define REFUSE refuses = gen[0]
#endif
#ifdef V_YES_BEFORE_PROTECTED
#define SAYS_YES (row[1] == OWN)
#else
#define SAYS_YES (row[1] == OWN && copied)
#endif

#define OFFER_COMES(g)                                                                                         \
  :: d_step { up[1] && offers[g] > 0 && (IS_KNOWN(g) || (g) <= refuses) -> offers[g]-- }                         \
  :: d_step { up[1] && offers[g] > 0 && !IS_KNOWN(g) && (g) > refuses -> offers[g]--; row[1] = OWN; gen[1] = g; copied = 0; gone = 0; \
     accepted[g]++; assert(accepted[g] == 1) }                                                                 \
  :: d_step { twice > 0 && offers[g] == 1 -> twice--; offers[g] = 2 }

#ifdef HELD
#ifdef V_HELD_WITHOUT_A_COPY
#define IS_HELD(g) (row[1] == NONE || row[1] == SHADOW)
#else
#define IS_HELD(g) (row[1] == SHADOW && gen[1] < (g))
#endif
#ifdef V_HELD_IGNORES_ASKED_BACK
#define IS_REFUSED(g) 0
#else
#define IS_REFUSED(g) ((g) <= refuses)
#endif
#define HELD_OFFER_COMES(g)                                                                                    \
  :: d_step { up[1] && held_offers[g] > 0 && (IS_KNOWN(g) || IS_REFUSED(g)) -> held_offers[g]-- }                \
  :: d_step { up[1] && held_offers[g] > 0 && !IS_KNOWN(g) && !IS_REFUSED(g) && IS_HELD(g) -> held_offers[g]--;    \
     bodiless = (row[1] != SHADOW); row[1] = OWN; gen[1] = g; copied = 0; gone = 0; accepted[g]++; assert(accepted[g] == 1) } \
  :: d_step { up[1] && held_offers[g] > 0 && !IS_KNOWN(g) && !IS_REFUSED(g) && !IS_HELD(g) -> held_offers[g]--; not_held[g] = 1 } \
  :: d_step { up[0] && not_held[g] -> not_held[g] = 0; if :: row[0] == SHADOW && gen[0] == g -> offers[g] = 1 :: else fi } \
  :: d_step { twice > 0 && held_offers[g] == 1 -> twice--; held_offers[g] = 2 }
#endif

init {
#ifdef HELD
  d_step { row[1] = SHADOW; gen[1] = 1 };
#endif
  d_step { row[0] = OWN; gen[0] = 1; up[0] = 1; up[1] = 1; up[2] = 1 };
  do
#ifdef V_OFFER_BEFORE_COMMIT
  :: d_step { up[0] && row[0] == OWN && gen[0] == 1 && given == 0 -> given = 2; offers[2] = 1 }
  :: d_step { up[0] && row[0] == OWN && given != 0 -> row[0] = SHADOW; gen[0] = given; given = 0 }
#else
  :: d_step { up[0] && row[0] == OWN && gen[0] < MOST && gen[0] != MOST - 1 -> gen[0]++; row[0] = SHADOW; OFFER(gen[0]) }
#endif
  :: d_step { up[0] && row[0] == OWN -> deliver(0) }

  OFFER_COMES(2)
  OFFER_COMES(4)
#ifdef HELD
  HELD_OFFER_COMES(2)
  HELD_OFFER_COMES(4)
  /* The copy of the first generation goes: nobody needs it, or it is done. */
  :: d_step { up[1] && row[1] == SHADOW && !released -> released = 1; row[1] = NONE }
  :: d_step { up[1] && row[1] == SHADOW && up[0] && done[0] -> row[1] = NONE }
#endif
  :: d_step { up[1] && row[1] == OWN && !copied && up[2] -> copied = 1; row[2] = SHADOW; gen[2] = gen[1] }
  :: d_step { up[1] && row[1] == OWN && copied ->
#ifdef HELD
       assert(!bodiless);
#endif
       deliver(1) }

  /* The giver asks, whether the answer was lost or was never given. Yes: the giver may go; the message has two copies without it. */
  :: d_step { up[0] && up[1] && row[0] == SHADOW && done[1] -> row[0] = NONE }
  :: d_step { up[0] && up[1] && row[0] == SHADOW && SAYS_YES && gen[1] == gen[0] ->
       assert(row[1] == OWN && (row[2] == SHADOW || losses < LOSSES)); row[0] = NONE }
  :: d_step { up[0] && up[1] && row[0] == SHADOW && (row[1] == NONE || row[1] == SHADOW) && !done[1] && (!gone || !(up[2] && done[2])) ->
#ifdef V_UNKNOWN_DROPS
       row[0] = NONE
#else
       REFUSE; row[0] = OWN; gen[0]++
#endif
     }

  /* The holder of the receiver's copy: done, or the receiver's disk is gone and the giver has let go. */
  :: d_step { up[2] && row[2] == SHADOW && ((up[1] && done[1]) || (up[0] && (done[0] || (row[0] == OWN && gen[0] > gen[2])))) -> row[2] = NONE }
  :: d_step { up[2] && row[2] == SHADOW && gone && up[0] && row[0] == NONE && !done[0] -> row[2] = OWN; gen[2]++ }
  :: d_step { up[2] && row[2] == OWN -> deliver(2) }

  /* A process that ends forgets what it refuses, and nothing that was sent to it comes any more. */
  :: d_step { up[0] && crashes > 0 -> crashes--; up[0] = 0; given = 0 }
  :: d_step { up[1] && crashes > 0 -> crashes--; up[1] = 0; refuses = 0; NOTHING_COMES }
  :: d_step { up[1] && losses > 0 && !done[1] -> losses--; up[1] = 0; gone = 1; row[1] = NONE; gen[1] = 0; copied = 0; refuses = 0; NOTHING_COMES }
  :: d_step { !up[0] -> up[0] = 1 }
  :: d_step { !up[1] -> up[1] = 1 }
  :: timeout -> break
  od;
  skip;
  d_step { assert(delivered == 1); assert(row[0] == NONE && row[1] == NONE && row[2] == NONE); all_done = 1 }
}

#ifdef SETTLES
ltl settles { <> all_done }
#endif
