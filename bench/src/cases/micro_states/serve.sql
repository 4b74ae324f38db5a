SELECT ledger.generation_loaded('micro_state', generation, 1, 1) FROM ledger.generation WHERE place = 'rebuild';
SELECT ledger.swap_generation('micro_state', generation) FROM ledger.generation WHERE place = 'rebuild';
SELECT ledger.drop_generation('micro_state', 'replaced');
VACUUM (ANALYZE) micro_state;
CHECKPOINT
