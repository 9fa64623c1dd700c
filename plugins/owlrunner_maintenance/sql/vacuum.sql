-- Makes the deleted rows' space usable for new ones now. Skipped where somebody else is at it.
vacuum (skip_locked, analyze) {partition};
