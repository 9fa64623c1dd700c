-- Makes the deleted rows' space usable for new ones now. Skipped where somebody else is at it. Pages at the end are kept: giving
-- them back locks everybody out, and leaves behind the free space in the indexes, which is measured by that of the pages.
vacuum (skip_locked, analyze, truncate false) {partition};
